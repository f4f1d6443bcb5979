"""One client connection's side of the conversation: what it may ask, and the answer in its category's own shape.

Sans-IO. Shapes as seen on the wire; those marked "undocumented" are our guess at what the venue would say.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from feeder.simulator.venue import CATEGORIES, MAX_ARGS_CHARACTERS


@dataclass(slots=True)
class Answer:
    """What to send back, and the topics that it begins and ends."""

    reply: bytes
    subscribed: list[str] = field(default_factory=list)
    unsubscribed: list[str] = field(default_factory=list)


class Session:
    """The state of one connection of one category.

    `accepts` tells whether a topic exists; it is asked once per topic of a subscribe request.
    """

    def __init__(self, category: str, connection_id: str, accepts: Callable[[str], bool]) -> None:
        self.category = category
        self.connection_id = connection_id
        self.topics: dict[str, None] = {}  # in the order they were subscribed
        self._rules = CATEGORIES[category]
        self._accepts = accepts
        self._characters = 0

    def handle(self, text: bytes, now_ms: int) -> Answer:
        """Answer one message of the client, whatever it is; the connection stays open."""
        try:
            request = json.loads(text)
        except (ValueError, RecursionError) as error:
            return self._undecodable(str(error))
        if not isinstance(request, dict):
            return self._undecodable("not a JSON object")
        op = request.get("op")
        request_id = request.get("req_id", "")
        if op == "ping":
            return Answer(self._pong(request, now_ms))
        if op not in ("subscribe", "unsubscribe"):
            return Answer(self._refusal(str(op), request_id, "error:invalid op", []))
        args = request.get("args")
        if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
            return self._undecodable("args must be a list of texts")
        problem = self._over_limit(op, args)
        if problem:
            return Answer(self._refusal(op, request_id, problem, args))
        if op == "subscribe":
            return self._subscribe(args, request)
        return self._unsubscribe(args, request)

    def _subscribe(self, args: list[str], request: dict[str, Any]) -> Answer:
        refused: dict[str, str] = {}
        taken: dict[str, None] = {}
        for topic in args:
            if topic in self.topics or topic in taken:
                refused.setdefault(topic, f"error:already subscribed,topic:{topic}")
            elif not self._accepts(topic):
                spot = self.category == "spot"
                unknown = f"Invalid symbol :[{topic}]" if spot else f"error:handler not found,topic:{topic}"
                refused.setdefault(topic, unknown)
            else:
                taken[topic] = None
        # One refused topic fails the whole request, except on option, which tells of each.
        if refused and self.category != "option":
            return Answer(self._refusal("subscribe", request.get("req_id", ""), next(iter(refused.values())), args))
        self.topics.update(taken)
        self._characters += sum(map(len, taken))
        return Answer(self._ack("subscribe", request, list(taken), list(refused)), subscribed=list(taken))

    def _unsubscribe(self, args: list[str], request: dict[str, Any]) -> Answer:
        # Undocumented: a topic that was not subscribed is acked all the same.
        ended = [topic for topic in dict.fromkeys(args) if topic in self.topics]
        for topic in ended:
            del self.topics[topic]
            self._characters -= len(topic)
        return Answer(self._ack("unsubscribe", request, args, []), unsubscribed=ended)

    def _over_limit(self, op: str, args: list[str]) -> str | None:
        rules = self._rules
        if not args:
            return "error:args is empty"  # undocumented
        if rules.max_args_per_request is not None and len(args) > rules.max_args_per_request:
            return f"args size >{rules.max_args_per_request}"
        if op == "unsubscribe":
            return None
        # Undocumented wording of documented limits.
        if rules.max_args_per_connection is not None and len(self.topics) + len(args) > rules.max_args_per_connection:
            return f"error:args size >{rules.max_args_per_connection} per connection"
        if self._characters + sum(map(len, args)) > MAX_ARGS_CHARACTERS:
            return f"error:args length >{MAX_ARGS_CHARACTERS} characters per connection"
        return None

    def _ack(self, op: str, request: dict[str, Any], successes: list[str], failures: list[str]) -> bytes:
        if self.category == "option":
            return self._command_response(success=True, successes=successes, failures=failures)
        answer = {"success": True, "ret_msg": op if self.category == "spot" else "", "conn_id": self.connection_id}
        return _encode(answer | self._request_id(request) | {"op": op})

    def _refusal(self, op: str, request_id: object, reason: str, args: list[str]) -> bytes:
        if self.category == "option":
            return self._command_response(success=False, successes=[], failures=args, reason=reason)
        answer: dict[str, object] = {"success": False, "ret_msg": reason, "conn_id": self.connection_id}
        if self.category != "spot":  # spot's refusals do not say which request they answer
            answer["req_id"] = request_id
        return _encode(answer | {"op": op})

    def _pong(self, request: dict[str, Any], now_ms: int) -> bytes:
        if self.category == "option":
            return _encode({"args": [str(now_ms)], "op": "pong"})
        answer = {"success": True, "ret_msg": "pong", "conn_id": self.connection_id}
        return _encode(answer | self._request_id(request) | {"op": "ping"})

    def _request_id(self, request: dict[str, Any]) -> dict[str, object]:
        """Spot echoes a request id only if there was one; linear and inverse always have the key."""
        if self.category == "spot" and "req_id" not in request:
            return {}
        return {"req_id": request.get("req_id", "")}

    def _undecodable(self, reason: str) -> Answer:
        return Answer(self._refusal("", "", f"Failed to decode incoming data:{reason}", []))

    def _command_response(
        self, *, success: bool, successes: list[str], failures: list[str], reason: str | None = None
    ) -> bytes:
        answer: dict[str, object] = {"success": success}
        if reason is not None:
            answer["ret_msg"] = reason  # undocumented: the shape has no place for a reason
        data = {"failTopics": failures, "successTopics": successes}
        return _encode(answer | {"conn_id": self.connection_id, "data": data, "type": "COMMAND_RESP"})


def _encode(answer: dict[str, object]) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode("ascii")
