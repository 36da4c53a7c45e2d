"""An upstream that answers by the name of the model: one server for all cases."""

from __future__ import annotations

from collections.abc import Mapping

from streamkit.testing import ReceivedRequest, Script, ScriptedServer, Step
from streamkit.testing.script import check_script

__all__ = ["ByModel"]


class ByModel(ScriptedServer):
    """A scripted server that has a script for each model.

    >>> server = ByModel({"hello": b"data: [DONE]"})
    >>> server.script_for(ReceivedRequest("POST", "/v1/chat/completions", {}, b'{"model": "hello"}'))
    (Send(data=b'data: [DONE]'),)
    """

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        super().__init__(b"")
        self._by_model = {model: check_script(script) for model, script in scripts.items()}

    def script_for(self, request: ReceivedRequest) -> tuple[Step, ...]:
        """Note the request and return what its model has to say."""
        self.requests.append(request)
        return self._by_model[request.json["model"]]
