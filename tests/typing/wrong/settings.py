# pyright: standard
"""Misspelt and impossible settings."""

import poplin

service = poplin.Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"")
poplin.Limits(autologuot=900)  # refused: call-arg, reportCallIssue
poplin.Limits(autologout="long")  # refused: arg-type, reportArgumentType
poplin.Policy(greting="hello")  # refused: call-arg, reportCallIssue
poplin.Policy(allow_cleartext="sometimes")  # refused: arg-type, reportArgumentType
poplin.Server(service, prot=1110)  # refused: call-arg, reportCallIssue
poplin.Server(service, port="1110")  # refused: arg-type, reportArgumentType
poplin.Server(dict)  # refused: arg-type, reportArgumentType
poplin.Listener(address="127.0.0.1:0", tls="yes")  # refused: arg-type, reportArgumentType
print(poplin.BackgroundSever)  # refused: attr-defined, reportAttributeAccessIssue
