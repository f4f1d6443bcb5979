"""One private connection's side of the conversation: who it is, what it asked for, and the answers.

Sans-IO. Shapes as documented and seen on the wire; those marked "undocumented" are our guess at what the venue says.
"""

import json
from collections.abc import Callable
from typing import Any

from feeder.simulator.keys import ApiKey
from feeder.simulator.private_topics import News, Topic
from feeder.simulator.rest_reply import Refused

Login = Callable[[Any], ApiKey]
"""The key that logs in with the `args` of an auth. Raises Refused."""


class PrivateSession:
    """The state of one connection. `handle` answers what the client says."""

    def __init__(self, connection_id: str, login: Login) -> None:
        self.connection_id = connection_id
        self.api_key: ApiKey | None = None
        self.topics: dict[str, Topic] = {}  # in the order they were subscribed
        self._login = login

    def handle(self, text: bytes, now_ms: int) -> bytes:
        """Answer one message of the client, whatever it is; the connection stays open."""
        try:
            request = json.loads(text)
        except (ValueError, RecursionError) as error:
            return self._answer({}, "", f"Failed to decode incoming data:{error}")
        if not isinstance(request, dict):
            return self._answer({}, "", "Failed to decode incoming data:not a JSON object")
        op, args = request.get("op"), request.get("args")
        match op:
            case "ping":
                return self._encode(request, {"op": "pong", "args": [str(now_ms)], "conn_id": self.connection_id})
            case "auth":
                return self._answer(request, op, self._authenticate(args))
            case "subscribe" | "unsubscribe":
                return self._answer(request, op, self._change(op, args))
            case _:
                return self._answer(request, str(op), "error:invalid op")

    def topics_of(self, news: News) -> list[str]:
        """The subscribed topics that tell them."""
        return [text for text, topic in self.topics.items() if topic.takes(news)]

    def _authenticate(self, args: Any) -> str:
        """What is wrong with it, empty for nothing."""
        if self.api_key is not None:
            return "Repeat auth"  # undocumented
        try:
            self.api_key = self._login(args)
        except Refused as why:
            return why.message
        return ""

    def _change(self, op: str, args: Any) -> str:
        if self.api_key is None:
            return "Request not authorized"
        if not isinstance(args, list) or not args or not all(isinstance(arg, str) for arg in args):
            return "Params Error"  # undocumented
        if op == "unsubscribe":
            for text in args:  # undocumented: one that was not subscribed is acked all the same
                self.topics.pop(text, None)
            return ""
        return self._subscribe(args)

    def _subscribe(self, args: list[str]) -> str:
        taken: dict[str, Topic] = {}
        for text in args:
            topic = Topic.parse(text)
            if topic is None:
                return f"error:handler not found,topic:{text}"
            if text in self.topics or text in taken:
                return f"error:already subscribed,topic:{text}"
            taken[text] = topic
        # Documented: the two kinds do not go into one request. Its wording is not.
        general = [topic for topic in taken.values() if not topic.category and topic.kind not in ("wallet", "greeks")]
        if general and any(topic.category for topic in taken.values()):
            return "error:all-in-one and categorised topics in one request"
        self.topics.update(taken)
        return ""

    def _answer(self, request: dict[str, Any], op: str, problem: str) -> bytes:
        return self._encode(
            request, {"success": not problem, "ret_msg": problem, "op": op, "conn_id": self.connection_id}
        )

    @staticmethod
    def _encode(request: dict[str, Any], answer: dict[str, Any]) -> bytes:
        """With the request's id, if it has one."""
        named = {"req_id": request["req_id"]} if "req_id" in request else {}
        return json.dumps(named | answer, separators=(",", ":")).encode()
