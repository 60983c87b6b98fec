"""Only a folder that says itself that it is a run is ever discarded."""

from fusemix.environment import describe_environment
from fusemix.files import write_json
from fusemix.fusion.runs import discard


def test_a_project_whose_settings_file_bears_the_name_of_a_runs_is_not_taken_for_one(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.yaml").write_text("out: project")
    for content in (None, "{}", "[]", "half {"):
        if content is not None:
            (project / "environment.json").write_text(content)
        discard(project)
        assert (project / "config.yaml").read_text() == "out: project"
    write_json(project / "environment.json", describe_environment("cpu"))
    discard(project)
    assert list(tmp_path.iterdir()) == []
