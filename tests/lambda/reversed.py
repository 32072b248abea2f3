"""A function in Python: gives a binary body back from its end to its beginning."""

import base64
import json


def handler(event, context):
    if event["isBase64Encoded"]:
        body = base64.b64decode(event["body"])[::-1]
        headers = {"content-type": "application/octet-stream"}
        return {"statusCode": 200, "headers": headers, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {"statusCode": 201, "cookies": ["p=1"], "body": json.dumps({"path": event["rawPath"], "body": event.get("body")})}
