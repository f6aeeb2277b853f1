from pathlib import Path

import pytest

from astra_assets.config.profile import SlurmProfile
from astra_assets.config.settings import SettingsError, load_settings, usable_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    import os

    for name in [*os.environ]:
        if name.startswith("ASTRA_") or name in {"SAS_BASE_DIR", "MWM_ASTRA"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_a_laptop_below_the_current_folder(tmp_path):
    settings = load_settings()
    assert settings.home == tmp_path / "astra-data"
    assert settings.database == f"sqlite:///{tmp_path}/astra-data/astra.db"
    assert settings.archive == tmp_path / "astra-data" / "demo"
    assert settings.is_demo
    assert settings.products_root == tmp_path / "astra-data" / "mwm"


def test_the_environment_wins_over_the_file_and_arguments_over_both(monkeypatch, tmp_path):
    (tmp_path / "astra.toml").write_text('home = "from-file"\nprocs = 3\n')
    assert load_settings().home == tmp_path / "from-file"
    monkeypatch.setenv("ASTRA_HOME", "from-environment")
    assert load_settings().home == tmp_path / "from-environment"
    assert load_settings().procs == 3
    assert load_settings(home="argument").home == tmp_path / "argument"


def test_a_named_config_file_is_read_and_a_missing_one_refused(monkeypatch, tmp_path):
    (tmp_path / "site.toml").write_text("max_attempts = 5\n")
    monkeypatch.setenv("ASTRA_CONFIG", str(tmp_path / "site.toml"))
    assert load_settings().max_attempts == 5
    monkeypatch.setenv("ASTRA_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(SettingsError, match=r"absent\.toml: there is no such file"):
        load_settings()


def test_all_problems_are_reported_at_once_with_the_name_to_change(monkeypatch):
    monkeypatch.setenv("ASTRA_PROCS", "none")
    monkeypatch.setenv("ASTRA_DATABASE_URL", "mysql://a/b")
    monkeypatch.setenv("SAS_BASE_DIR", "/nowhere/at/all")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    text = str(caught.value)
    assert "ASTRA_PROCS" in text
    assert "mysql is no database that we know; use postgresql://" in text
    assert "SAS_BASE_DIR: /nowhere/at/all is no folder" in text


def test_an_unknown_key_in_the_file_is_refused(tmp_path):
    (tmp_path / "astra.toml").write_text("prcos = 3\n")
    with pytest.raises(SettingsError, match="prcos"):
        load_settings()


def test_a_file_that_is_no_toml_is_refused_with_its_line(tmp_path):
    (tmp_path / "astra.toml").write_text('compute = "slurm\n')
    with pytest.raises(SettingsError, match=r"astra\.toml cannot be read: .*line 1"):
        load_settings()
    settings, problems = usable_settings()
    assert settings.compute == "local"
    assert len(problems) == 1


def test_what_is_wrong_does_not_hide_the_rest_of_the_settings(monkeypatch, tmp_path):
    (tmp_path / "astra.toml").write_text(
        'compute = "slurm"\nprcos = 3\nprocs = 0\nmax_attempts = 5\n[slurm]\nnodes = 0\n'
    )
    monkeypatch.setenv("SAS_BASE_DIR", "/nowhere/at/all")
    monkeypatch.setenv("ASTRA_DATABASE_SCHEMA", "mwm")
    settings, problems = usable_settings()
    assert (settings.compute, settings.max_attempts, settings.procs) == ("slurm", 5, None)
    assert settings.slurm == SlurmProfile()
    assert (settings.is_demo, settings.database_schema) == (True, None)
    assert [problem.partition(":")[0] for problem in problems] == [
        "SAS_BASE_DIR",
        "nodes in [slurm] of astra.toml",
        "ASTRA_PROCS (or procs in astra.toml)",
        "ASTRA_PRCOS (or prcos in astra.toml)",
    ]


RELEASE = 'run2d = ["v6_2_1"]\npipelines = ["corv"]\n'
OTHER = f"max_attempts = 5\n[releases.other]\n{RELEASE}"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (f"[releases.x]\n{RELEASE}".replace('["v6_2_1"]', "3"), "run2d in [releases.x] of astra.toml"),
        (f'[releases.x]\nv_astra = "x"\n{RELEASE}', "v_astra in [releases.x] of astra.toml"),
        (f'[releases.x]\nv_astra = "99999.1.1"\n{RELEASE}', "v_astra in [releases.x] of astra.toml"),
        (f'[releases.x]\nv_astra = "٠.٨.١"\n{RELEASE}', "v_astra in [releases.x] of astra.toml"),
        ("[programs]\nx = [[]]\n", "x.command.0 in [programs] of astra.toml"),
        ("[programs]\nx = {command = 'a', astra = 'b'}\n", "x in [programs] of astra.toml"),
        ("[slurm.steps.corv]\nnodes = 0\n", "nodes in [slurm.steps.corv] of astra.toml"),
    ],
)
def test_a_wrong_table_is_told_and_all_other_settings_are_used(tmp_path, table, problem):
    text = table if table.startswith("[programs]") else f"{table}[programs]\n"
    (tmp_path / "astra.toml").write_text(f'{OTHER}{text}bossnet = "net"\n')
    settings, problems = usable_settings()
    assert [each.partition(":")[0] for each in problems] == [problem]
    assert settings.max_attempts == 5
    assert list(settings.releases) == ["other"]
    assert settings.programs["bossnet"].command == ("net",)


@pytest.mark.parametrize("name", ["class", '"a b"'])
def test_a_release_that_no_job_can_be_called_like_does_not_stop_the_examination(tmp_path, name):
    (tmp_path / "astra.toml").write_text(f"max_attempts = 5\n[releases.{name}]\n{RELEASE}")
    settings, problems = usable_settings()
    assert "cannot be the name of a job" in problems[0]
    assert (settings.max_attempts, settings.releases) == (5, {})


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ASTRA_HOME", "~nobody-of-this-name/x", "there is no user nobody-of-this-name"),
        ("ASTRA_HOME", "/srv/" + "x" * 5_000, "has 5,005 characters, more than a path can have"),
        ("MWM_ASTRA", "/srv/a\nb", "has a control character"),
        ("ASTRA_CATALOGS", "/srv/" + "x" * 300, "has 305 characters"),
        ("ASTRA_CONFIG", "x" * 5_000, "(5,000 characters): there is no such file"),
        ("ASTRA_DATABASE_URL", "sqlite://", "a SQLite database needs a file"),
        ("ASTRA_RELEASE", "dr99", "there is no release 'dr99'"),
    ],
)
def test_a_variable_that_cannot_be_used_is_told_in_a_short_sentence(monkeypatch, variable, value, told):
    monkeypatch.setenv(variable, value)
    settings, (problem,) = usable_settings()
    assert told in problem
    assert len(problem) < 400
    assert "secret" not in problem
    assert settings.home.is_absolute()


def test_a_file_that_is_nested_too_deeply_is_told(tmp_path):
    (tmp_path / "astra.toml").write_text(f"x = {'[' * 2_000}{']' * 2_000}\n")
    settings, (problem,) = usable_settings()
    assert "astra.toml cannot be read: its values are nested too deeply" in problem
    assert settings.compute == "local"


def test_settings_that_can_be_used_have_no_problems():
    assert usable_settings() == (load_settings(), ())


def test_catalogues_are_a_list_of_paths_as_in_path(monkeypatch, tmp_path):
    monkeypatch.setenv("ASTRA_CATALOGS", "a.fits:/b/c.fits.gz")
    assert load_settings().catalogs == (tmp_path / "a.fits", Path("/b/c.fits.gz"))


@pytest.mark.parametrize("url", ["foo", "mysql://a/b", "://"])
def test_a_database_that_we_do_not_know_is_refused(monkeypatch, url):
    monkeypatch.setenv("ASTRA_DATABASE_URL", url)
    with pytest.raises(SettingsError, match="is no database that we know"):
        load_settings()


def test_a_schema_without_postgresql_is_refused(monkeypatch):
    monkeypatch.setenv("ASTRA_DATABASE_SCHEMA", "mwm")
    with pytest.raises(SettingsError, match="ASTRA_DATABASE_SCHEMA needs PostgreSQL"):
        load_settings()
    monkeypatch.setenv("ASTRA_DATABASE_URL", "postgresql://astra@db.example.org/survey")
    assert load_settings().database_schema == "mwm"
