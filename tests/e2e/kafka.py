"""A cluster of Kafka for tests: the mock cluster that librdkafka brings, which speaks the real protocol on real sockets.

Its controls are functions of the C library inside the wheel of confluent-kafka, which Python does not see.
"""

import ctypes
from pathlib import Path

import confluent_kafka
from confluent_kafka import Consumer, TopicPartition

PRODUCE = 0
MESSAGE_TOO_LARGE = 10
UNKNOWN_TOPIC = 3
BROKERS = 3
PARTITIONS = 4


def library():
    """With the types of what is called: pointers are longer than the ints that ctypes takes them for."""
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    found = ctypes.CDLL(str(next(folder.glob("librdkafka-*.so*"))))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in [
        ("conf_new", pointer, []),
        ("new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("destroy", None, [pointer]),
        ("mock_cluster_new", pointer, [pointer, number]),
        ("mock_cluster_destroy", None, [pointer]),
        ("mock_cluster_bootstraps", text, [pointer]),
        ("mock_topic_create", number, [pointer, text, number, number]),
        ("mock_topic_set_error", None, [pointer, text, number]),
        ("mock_partition_set_leader", number, [pointer, text, number, number]),
        ("mock_broker_set_down", number, [pointer, number]),
        ("mock_broker_set_up", number, [pointer, number]),
        ("mock_broker_set_rtt", number, [pointer, number, number]),
        ("mock_push_request_errors_array", None, [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number)]),
    ]:
        function = getattr(found, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return found


class Cluster:
    def __init__(self):
        self._library = library()
        self._handle = self._library.rd_kafka_new(0, self._library.rd_kafka_conf_new(), None, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, BROKERS)
        self._consumers = []
        self.brokers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().split(",")

    def close(self):
        for consumer in self._consumers:
            consumer.close()
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    def _call(self, name, *arguments):
        assert not getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *arguments), name

    def make(self, topic):
        self._call("topic_create", topic.encode(), PARTITIONS, BROKERS)

    def fail_topic(self, topic, error):
        """0: it is there again."""
        self._call("topic_set_error", topic.encode(), error)

    def lead(self, topic, broker):
        """From now on this one leads all partitions: 1, 2 or 3."""
        for partition in range(PARTITIONS):
            self._call("partition_set_leader", topic.encode(), partition, broker)

    def down(self):
        for broker in range(1, BROKERS + 1):
            self._call("broker_set_down", broker)

    def up(self):
        for broker in range(1, BROKERS + 1):
            self._call("broker_set_up", broker)

    def delay(self, milliseconds):
        """Each answer comes so much later."""
        for broker in range(1, BROKERS + 1):
            self._call("broker_set_rtt", broker, milliseconds)

    def refuse(self, error, times):
        """The next requests to produce fail so."""
        self._call("push_request_errors_array", PRODUCE, times, (ctypes.c_int * times)(*[error] * times))

    def consumer(self, topic):
        """Of all that the topic has, from its beginning."""
        consumer = Consumer({"bootstrap.servers": ",".join(self.brokers), "group.id": "tests", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        self._consumers.append(consumer)
        return consumer
