# pyright: standard
"""Command methods with other parameters or answers."""

import poplin
from poplin.protocol.replies import Reply


class Wrong(poplin.CommandServer):
    """Nothing of this could work."""

    def do_STAT(self) -> Reply:  # refused: override, reportIncompatibleMethodOverride
        return self.ok("0 0")

    def do_LIST(self, argument: str) -> str:  # refused: override, reportIncompatibleMethodOverride
        return "+OK"

    def do_NOOP(self, argument: str) -> Reply:
        return self.ok(5)  # refused: arg-type, reportArgumentType

    def do_RETR(self, argument: str) -> Reply:
        return self.data("text", 5)  # refused: arg-type, reportArgumentType


Wrong.add_command("TRANSACTION", "XNEWS")  # refused: arg-type, reportArgumentType
poplin.Server(commands=Wrong(), port=0)  # refused: arg-type call-arg, reportArgumentType reportCallIssue
