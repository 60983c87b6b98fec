"""Where everything in a figure stands, found once.

Place in the flow: a figure with everything in it -> the same, ready to be saved.
"""

from matplotlib.figure import Figure


def lay_out(figure: Figure) -> None:
    """Give everything in a figure its place, for all files that it is saved to.

    Saving a figure whose layout is constrained would find the places for each file, and draw everything twice.

    Args:
        figure: with all that it shows; in pixels it is as large as its own `dpi` makes it, by which text is measured.
    """
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine(None)
