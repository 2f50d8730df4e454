"""Commands that come in groups: `affectzoo data ...` and `affectzoo bench ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

data_app = typer.Typer(help="Look into a corpus before training on it.", no_args_is_help=True)

Corpus = Annotated[str, typer.Argument(help="A corpus from `affectzoo list datasets`.")]
Root = Annotated[str | None, typer.Option(help="The folder of the corpus as delivered.")]
LoaderOptions = Annotated[list[str] | None, typer.Argument(help="key=value of the loader's own options.")]


@data_app.command("check")
def data_check(
    name: Corpus,
    overrides: LoaderOptions = None,
    root: Root = None,
    media: Annotated[bool, typer.Option("--media/--no-media", help="Open every media file, or find only absent ones.")] = True,
    out: Annotated[Path, typer.Option(help="Folder for check.json and check.html.")] = Path("out/data-check"),
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that open media, processes that read labels.")] = None,
) -> None:
    """Counts, labels, leaks between splits, missing and odd media: a table, a JSON file, a page. Exit code 1: problems."""
    from affectzoo.cli.data import check_data

    if check_data(name, overrides or [], root=root, media=media, folder=out, workers=workers):
        raise typer.Exit(1)


@data_app.command("preview")
def data_preview(
    name: Corpus,
    overrides: LoaderOptions = None,
    root: Root = None,
    clips: Annotated[int, typer.Option(min=1, max=100, help="How many, of as many subjects as there are.")] = 12,
    split: Annotated[str | None, typer.Option(help="train, val or test; every clip where left out.")] = None,
    out: Annotated[Path, typer.Option(help="A PNG.")] = Path("out/preview.png"),
) -> None:
    """Draw the first clips: frames or sound, and their labels along time."""
    from affectzoo.cli.data import preview_data

    preview_data(name, overrides or [], root=root, clips=clips, split=split, path=out)


bench_app = typer.Typer(help="Compare components on the same data, with the same budget.", no_args_is_help=True)


@bench_app.command("fusion")
def bench_fusion_command(
    data: Annotated[
        str, typer.Argument(help="A folder of `affectzoo features`, an experiment file, or a dataset's name.")
    ] = "rendered",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="dotted.key=value of the experiment; init=MODEL: whose backbones; fusions.NAME.key=value: of one."),
    ] = None,
    fusions: Annotated[
        str | None,
        typer.Option(help="Names, such as concat,mine,mine-2=mine (row=fusion); every registered one if left out."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Of every fusion.")] = "0,1,2",
    folds: Annotated[
        str | None, typer.Option(help="Cross-validate by subject: how many folds, or loso; the dataset's splits if left out.")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME:key=value[,key=value]: score every row also on the test split with other options of the dataset, "
            "data.config.KEY=VALUE, or of features folder=OTHER; repeatable."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and tables; another call goes on there.")] = Path("out/bench"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Of every run, instead of the experiment's.")] = None,
) -> None:
    """Train every fusion and each modality alone; scores, differences to concat, cost. Exit code 1: a row failed."""
    from affectzoo.cli.bench import bench_fusion

    given = overrides or []
    if not bench_fusion(data, given, fusions=fusions, seeds=seeds, folds=folds, folder=out, epochs=epochs, also=also or ()):
        raise typer.Exit(1)
