"""The root command, and the one policy on errors.

Misuse and unusable data end with status 2, a degenerate model or a broken family with 1, Ctrl-C
with 130; each in one line on stderr.  ``emframe --traceback COMMAND ...`` lets exceptions through.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

import emframe
from emframe.cli.benchmarking import bench
from emframe.cli.fitting import fit
from emframe.cli.installed import check, datasets, plugins
from emframe.cli.new import new_plugin
from emframe.cli.selecting import select
from emframe.cli.using import predict, sample
from emframe.messages.words import MEANT


class Failure(click.ClickException):
    """The model or its family failed."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))  # one line


class Misuse(Failure):
    """What was asked for, or the data, cannot be used."""

    exit_code = 2


class Interruption(Failure):
    """Ctrl-C, before there was anything to show."""

    exit_code = 130


class App(click.Group):
    """A group that ends as the policy says."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _policy():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.params["traceback"]:
            return super().invoke(ctx)
        with _policy(), _brief_warnings():
            return super().invoke(ctx)


# Options by the arguments of `emframe.fit` that they stand for.
OPTIONS = {
    **{"rng": "--seed", "n_starts": "--starts", "n_components": "--components"},
    **{"n_states": "--components", "covariance": "--covariance", "engine": "--threads"},
    **{"weights": "--weights", "max_iter": "--max-iter", "prior": "--prior", "group": "--group"},
}


def _ours(option: str) -> str:
    """The option that stands for what elsewhere, or in Python, is called so; "" for none."""
    name = option.lstrip("-").replace("-", "_")
    return OPTIONS.get(MEANT.get(name, name), "")


def _where(error: click.UsageError) -> str:
    return f" See: {error.ctx.command_path} --help" if error.ctx is not None else ""


@contextmanager
def _policy() -> Iterator[None]:
    try:
        yield
    except click.NoSuchOption as error:
        ours = _ours(error.option_name)
        told = f"No such option {error.option_name!r}. Did you mean {ours}?"
        raise Misuse(told if ours else error.format_message() + _where(error)) from error
    except click.UsageError as error:
        raise Misuse(error.format_message() + _where(error)) from error
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt as error:
        raise Interruption("interrupted") from error
    except (emframe.Degenerate, emframe.FamilyError) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        of = f": {error.filename}" if error.filename is not None else ""
        raise Misuse(f"{error.strerror or error}{of}") from error
    except Exception as error:
        notes = getattr(error, "__notes__", [])
        if notes:  # raised by a family in the middle of its work
            kind = type(error).__name__
            hint = "emframe --traceback ... shows where"
            raise Failure(f"{kind}: {error} ({'; '.join(notes)}; {hint})") from error
        if isinstance(error, (ValueError, TypeError, ImportError)):
            raise Misuse(str(error)) from error
        raise


@contextmanager
def _brief_warnings() -> Iterator[None]:
    """Warnings without the line of our source that happened to raise them."""

    def brief(message: Warning | str, *_: Any, **__: Any) -> None:
        click.echo(f"Warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = brief
        yield


@click.group(cls=App, invoke_without_command=True)
@click.option("--traceback", is_flag=True, help="Show where an error came from.")
@click.version_option(emframe.__version__, prog_name="emframe")
@click.pass_context
def app(ctx: click.Context, traceback: bool) -> None:  # noqa: ARG001 - read in App.invoke
    """Fit latent-variable models by expectation-maximization.

    \b
    emframe datasets                                     data sets to try
    emframe fit faithful --components 1-6                choose the number of components
    emframe select iris --components 1-5                 and the covariance structure
    emframe fit my.csv --family poisson --components 2 --save my.fit
    emframe predict my.fit new.csv > labelled.csv
    emframe sample my.fit -n 1000 --seed 1 > drawn.csv

    Every command has its own --help, with examples.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (fit, select, predict, sample, datasets, plugins, check, new_plugin, bench):
    app.add_command(command)
