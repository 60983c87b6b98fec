import io

import pytest
from matplotlib.figure import Figure

from fusemix.reports.layout import lay_out


def drawn_figure() -> Figure:
    figure = Figure(figsize=(4, 3), dpi=90, layout="constrained")
    for number, axes in enumerate(figure.subplots(1, 2)):
        axes.plot([0, 1000], [0, 1], label="a label that takes much room")
        axes.set(xlabel="a long label below", ylabel="at the side", title=f"no {number}")
    figure.legend(loc="outside lower center")
    return figure


def saved(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


@pytest.mark.parametrize("layout", ["constrained", None])
def test_a_figure_that_was_laid_out_before_is_saved_as_if_saving_did_it(layout):
    one, other = drawn_figure(), drawn_figure()
    for figure in (one, other):
        figure.set_layout_engine(layout)
    lay_out(other)
    assert saved(one) == saved(other) == saved(other)
