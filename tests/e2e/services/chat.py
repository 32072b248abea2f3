"""A Socket.IO server that keeps its sessions in memory, as most do. It says which of several it is."""

import os

import socketio

NAME = os.environ["CHAT_NAME"]

# Long polling alone: every request of a conversation must reach the server where it began.
server = socketio.Server(async_mode="threading", allow_upgrades=False, ping_interval=1, ping_timeout=5)
application = socketio.WSGIApp(server)


@server.on("who")
def who(_session):
    return NAME
