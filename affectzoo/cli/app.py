"""Every command and its options; the work is done in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import affectzoo

app = typer.Typer(
    name="affectzoo",
    help="Video with people in it to timestamped affect: a plugin-based model zoo.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Plot = Annotated[bool, typer.Option("--plot", help="Also write a PNG: curves over time and the circumplex.")]
Overlay = Annotated[bool, typer.Option("--overlay", help="Also write an mp4 with boxes and values drawn in.")]
Detector = Annotated[str, typer.Option(help="auto, or a name from `affectzoo list detectors`.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"affectzoo {affectzoo.__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Video with people in it to timestamped affect: a plugin-based model zoo."""


@app.command("list")
def list_command(
    kind: Annotated[str, typer.Argument(help="models, fusions, backbones, ... ; everything where left out.")] = "all",
) -> None:
    """List models and components by name."""
    from affectzoo.cli.show import show_list

    show_list(kind)


@app.command()
def info(name: Annotated[str, typer.Argument(help="A model or component.")]) -> None:
    """Describe one model or component."""
    from affectzoo.cli.show import show_info

    show_info(name)


@app.command()
def plugins() -> None:
    """Show every plugin: version, what it provides, status, error."""
    from affectzoo.cli.show import show_plugins

    show_plugins()


@app.command()
def predict(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Video or audio files.")],
    model: Annotated[str, typer.Option(help="A zoo name, org/repo[@revision] on the Hub, or a folder.")] = "jca-rendered",
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    plot: Plot = False,
    overlay: Overlay = False,
    detector: Detector = "auto",
    detect_every: Annotated[int, typer.Option(help="Sampled frames from one face detection to the next.")] = 4,
    overlap: Annotated[float, typer.Option(help="Share that neighbouring windows have in common, under 1.")] = 0.5,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; the GPU is taken where there is one.")] = None,
) -> None:
    """Predict affect along media files: one CSV for each, and one of scores where the model gives any."""
    from affectzoo.cli.predict import predict_files

    failed = predict_files(
        files,
        model=model,
        out=out,
        plot=plot,
        overlay=overlay,
        detector=detector,
        detect_every=detect_every,
        overlap=overlap,
        device=device,
        debug=bool(context.find_root().params.get("debug")),
    )
    if failed:
        raise typer.Exit(2 if len(files) == 1 else 1)


@app.command()
def train(
    experiment: Annotated[Path, typer.Argument(help="A YAML file, such as recipes/jca-rendered.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="dotted.key=value")] = None,
) -> None:
    """Train in this process; `accelerate launch -m affectzoo.train` does the same on several."""
    from affectzoo.train.__main__ import run

    run(experiment, overrides or [])


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/demo"),
    seconds: Annotated[float, typer.Option(min=5, max=600, help="Length of the rendered clip.")] = 60.0,
    model: Annotated[str, typer.Option(help="A model that predicts valence and arousal.")] = "jca-rendered",
    detector: Detector = "auto",
) -> None:
    """Render a talking face nobody trained on, predict it, compare with the truth."""
    from affectzoo.cli.demo import run_demo

    run_demo(out, seconds=seconds, model=model, detector=detector)
