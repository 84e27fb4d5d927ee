"""``poplin help`` and ``poplin completion``."""

from __future__ import annotations

import click

from poplin.commands.base import Command, output
from poplin.commands.failures import Failure, WrongUsage
from poplin.daemon.suggest import nearest

__all__ = ["completion", "help_command"]

TOPICS = {
    "ports": """\
Ports below 1024

POP3 is at home on port 110, POP3S on port 995. The system gives ports below
net.ipv4.ip_unprivileged_port_start (1024 as a rule) to privileged processes alone.
Ways to serve there:

  * let the process bind low ports, and nothing else of root's, in its systemd unit:
      AmbientCapabilities=CAP_NET_BIND_SERVICE
  * lower the limit for the whole machine:
      sysctl net.ipv4.ip_unprivileged_port_start=110
  * forward the ports to higher ones in the packet filter:
      nft add rule ip nat prerouting tcp dport 110 redirect to 1110
  * start as root; becoming another user once the ports are open (server.user) and
    systemd socket activation come with a later version.""",
    "exit": """\
Exit status

  0  done, also when there was nothing to do
  1  failed; under --json the error's "code" says how
  2  wrong usage: nothing was done""",
    "files": """\
Where the configuration is looked for

  1  --config FILE
  2  the environment variable POPLIN_CONFIG
  3  ./poplin.toml
  4  /etc/poplin/poplin.toml

Paths in it are relative to the file itself.""",
}
"""Short texts that belong to no single command."""


@click.command(
    cls=Command,
    help="Show the help of a command, or a topic.",
    examples=("poplin help serve", "poplin help user add", "poplin help ports"),
)
@click.argument("words", nargs=-1, metavar="[COMMAND|TOPIC]...")
def help_command(words: tuple[str, ...]) -> None:
    """Show the help of a command, or a topic."""
    context = click.get_current_context().find_root()
    shared = output(context)
    if len(words) == 1 and words[0] in TOPICS:
        shared.data(TOPICS[words[0]])
        return
    command = context.command
    for word in words:
        inner = command.get_command(context, word) if isinstance(command, click.Group) else None
        if inner is None:
            known = [*TOPICS, *(command.list_commands(context) if isinstance(command, click.Group) else ())]
            near = nearest(word, known)
            raise WrongUsage(f'no command or topic "{word}"', f'did you mean "{near}"?' if near else "")
        context = click.Context(inner, context, word)
        command = inner
    shared.data(command.get_help(context))
    if not words:
        shared.data(f"\nTopics: {', '.join(TOPICS)} (poplin help TOPIC)")


@click.command(
    cls=Command,
    help="Print the completion script of a shell.",
    examples=("poplin completion bash", "poplin completion zsh > _poplin"),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise Failure("not-found", f"no completion for {shell}")
    root = click.get_current_context().find_root().command
    script = kind(root, {}, "poplin", "_POPLIN_COMPLETE")
    output().data(script.source_template % script.source_vars())
