"""What a contributor runs: ``nox`` alone does what CI does, ``nox -l`` lists the rest.

Most sessions use the environment that nox itself is installed in, which the README's test line has just made from the
locks; a second copy of the same packages would prove nothing and cost minutes. Only the sessions that are about
installing make environments of their own.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
IN_SESSIONS_OF_THEIR_OWN = ["contract", "benchmarks"]
# Without ``openapi``: tests/server/http/test_openapi.py holds the same of the committed contract.
SIDE_BY_SIDE = ["types", "collect", "lint", "sdk_alone"]
OLDEST_POSTGRES = {"BILLFOLD_TEST_POSTGRES": "16"}
# What is most of PostgreSQL's own: roles, partitions, plans, locks, whole tables read and written.
BEYOND_THE_API = [
    *(f"tenancy/test_{name}.py" for name in ("migrations", "partitions", "provisioning", "transaction")),
    *(f"ledger/test_{name}.py" for name in ("archives", "crashes", "detaching", "engine", "export", "import", "plans")),
    "audit",
]
OPENAPI = "openapi/billfold.yaml"
LOCKS = {
    # Everything, for work on Billfold. The first, because the others take their versions from it.
    "dev": ["--all-extras", "--group", "dev"],
    # What the README's first line needs: the server with its database, and what builds the project itself.
    "run": ["--extra", "server", "--extra", "postgres", "--group", "build"],
    # What a server of production needs, which has a PostgreSQL of its own, and may publish to NATS.
    "server": ["--extra", "server", "--extra", "nats", "--group", "build"],
    # What a plain install brings.
    "sdk": [],
}

nox.needs_version = ">=2026.4"
nox.options.sessions = ["side_by_side", "tests", "postgres_16", "contract"]


def _python(session: nox.Session, *args: str, env: dict[str, str] | None = None) -> None:
    # A machine may keep no bytecode for anybody; hundreds of processes would then compile all of Billfold anew.
    session.run(sys.executable, *args, env={"PYTHONDONTWRITEBYTECODE": "", **(env or {})}, external=True)


def _pytest(session: nox.Session, *args: str, folder: str | None = None, env: dict[str, str] | None = None) -> None:
    """Run pytest; a folder that nobody has begun yet is skipped, one without a test in it fails."""
    if folder is not None and not (ROOT / folder).is_dir():
        session.skip(f"{folder} isn't there yet")
    _python(session, "-m", "pytest", *([folder] if folder else []), *args, *session.posargs, env=env)


def _in_parallel() -> list[str]:
    """Spread tests over more processes than CI's machines have cores, because many tests wait for real time."""
    return [f"-n{os.environ.get('BILLFOLD_TEST_PROCESSES', '4')}", "--dist=loadgroup"]


def _but_sessions_of_their_own() -> list[str]:
    return [f"--ignore=tests/{name}" for name in IN_SESSIONS_OF_THEIR_OWN]


@nox.session(venv_backend="none")
def side_by_side(session: nox.Session) -> None:
    """Run the sessions that keep one core busy each, as many at a time as there are cores: the longest first."""

    def run(name: str) -> int:
        ran = subprocess.run(
            [sys.executable, "-m", "nox", "--session", name],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        # All at once, so that the lines of one don't fall between those of another.
        sys.stderr.buffer.write(ran.stdout)
        sys.stderr.flush()
        return ran.returncode

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        failed = [name for name, code in zip(SIDE_BY_SIDE, threads.map(run, SIDE_BY_SIDE), strict=True) if code]
    if failed:
        session.error(f"failed, see above: {', '.join(failed)}")


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Hold style, formatting and the direction of imports."""
    _python(session, "-m", "ruff", "check", ".")
    _python(session, "-m", "ruff", "format", "--check", ".")
    path = os.pathsep.join(str(ROOT / part) for part in ("", "sdk", "server"))
    check_imports = "from importlinter.cli import lint_imports_command as main; main(['--no-cache'])"
    _python(session, "-c", check_imports, env={"PYTHONPATH": path})


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types, strictly in the product."""
    _python(session, "-m", "mypy")


@nox.session(venv_backend="none")
def collect(session: nox.Session) -> None:
    """Find every test. Each process that runs tests finds them again, which takes half as long from here on."""
    env = {"PYTHONDONTWRITEBYTECODE": "", "BILLFOLD_TALLY": ""}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq"]
    session.run(*command, env=env, external=True, silent=True)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the tests, but for those that are sessions of their own."""
    _pytest(session, *_in_parallel(), *_but_sessions_of_their_own())


@nox.session(venv_backend="none")
def postgres_16(session: nox.Session) -> None:
    """Run what no operation of the API reaches on the oldest PostgreSQL that is supported; ``contract`` does the rest.

    Without the slow ones, which look for mistakes of ours by chance: every statement is among the others' too.
    """
    beyond = [f"tests/server/{each}" for each in BEYOND_THE_API]
    args = ["-m", "not any_postgres and not slow", *beyond, *session.posargs]
    _python(session, "-m", "pytest", *_in_parallel(), *args, env=OLDEST_POSTGRES)


@nox.session(venv_backend="none")
def open_banking(session: nox.Session) -> None:
    """Ask every operation of UK open banking a hundred times at random, and once for each constraint: some minutes.

    The official documents are read from beside the checkout, or from where BILLFOLD_SHARED says they are.
    """
    examples = {"BILLFOLD_OPEN_BANKING_EXAMPLES": os.environ.get("BILLFOLD_OPEN_BANKING_EXAMPLES", "100")}
    _python(session, "-m", "pytest", "tests/server/open_banking/test_conformance.py", *session.posargs, env=examples)


@nox.session(venv_backend="none")
def contract(session: nox.Session) -> None:
    """Test every operation of the OpenAPI document against a running server, with the oldest PostgreSQL beneath it.

    So what every operation asks of a database runs on that one, as it does on the newest in ``tests``.
    """
    _pytest(session, *_in_parallel(), folder="tests/contract", env=OLDEST_POSTGRES)


@nox.session(venv_backend="none")
def examples(session: nox.Session) -> None:
    """Run the examples alone and compare what they print; they are among ``tests`` too."""
    _pytest(session, folder="tests/examples")


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Measure; the numbers mean something on a quiet machine only, so this is not part of CI."""
    _pytest(session, "-s", folder="tests/benchmarks")


@nox.session(venv_backend="none")
def soak(session: nox.Session) -> None:
    """Give the ledger a million random orders, fill limits, and kill workers and PostgreSQL; takes half an hour."""
    ledger = [
        "tests/server/ledger/test_model.py",
        "tests/server/ledger/test_payments.py",
        "tests/server/payments/test_recurring.py",
        "tests/server/open_banking/vrp/test_operations.py",
        "tests/server/identity/grants/test_token_endpoint.py",
        "tests/server/test_faults.py",
        "tests/sdk/testing/test_days.py",
    ]
    _python(session, "-m", "pytest", *_in_parallel(), *(session.posargs or ledger), env={"BILLFOLD_SOAK": "1"})


@nox.session(venv_backend="none")
def newcomer(session: nox.Session) -> None:
    """Follow the README in a clean folder, from the clone to a test of one's own, and say how long it took."""
    _python(session, "tests/newcomer.py")


@nox.session(venv_backend="none")
def keys_soak(session: nox.Session) -> None:
    """Rotate the keys of a million subjects while others read, and kill who does it; takes a quarter of an hour."""
    test = "tests/server/keys/test_rotating_under_load.py"
    env = {"BILLFOLD_SOAK": "1"}
    _python(session, "-m", "pytest", "-s", "--timeout=3600", *(session.posargs or [test]), env=env)


@nox.session(venv_backend="none")
def canaries(session: nox.Session) -> None:
    """Bring a hundred thousand card numbers into a server in every way, and look for them everywhere: ten minutes."""
    env = {"BILLFOLD_CANARIES": os.environ.get("BILLFOLD_CANARIES", "100000")}
    _python(session, "-m", "pytest", "-s", "--timeout=3600", "tests/canaries", *session.posargs, env=env)


@nox.session(venv_backend="none")
def openapi(session: nox.Session) -> None:
    """Compare the committed contract with the code and validate it; ``nox -s openapi -- --write`` exports it anew."""
    if not session.posargs and not (ROOT / OPENAPI).is_file():
        session.skip(f"{OPENAPI} isn't there yet")
    mode = [] if "--write" in session.posargs else ["--check"]
    _python(session, "-m", "billfold_server.http.openapi", *mode, OPENAPI, env={"PYTHONPATH": "sdk:server"})
    _python(session, "-m", "openapi_spec_validator", "--schema", "3.1", OPENAPI)


@nox.session(venv_backend="virtualenv")
def sdk_alone(session: nox.Session) -> None:
    """Build sdist and wheel, install the wheel without extras, and import every module of the SDK.

    With pip, not uv: the README asks for nothing but pip, and a mirror that only pip was told of must do.
    """
    dist = Path(session.create_tmp()) / "dist"
    _python(session, "tests/repository/build_and_check.py", str(dist))
    (wheel,) = dist.glob("*.whl")
    session.install("-r", "requirements/sdk.txt")
    session.install("--no-deps", "--force-reinstall", str(wheel))
    session.run("pip", "check", silent=True)
    session.run("python", "-I", str(ROOT / "tests/repository/import_every_module.py"))
    if any((ROOT / "server/billfold_server").glob("cli*")):
        session.run("billfold", "up", success_codes=[69])


@nox.session(python=PYTHONS, venv_backend="virtualenv")
def tests_on(session: nox.Session) -> None:
    """Run the tests on one of the Pythons that we promise; CI's matrix does the same with the README's test line."""
    session.install("-r", "requirements/dev.txt")
    session.install("--no-deps", "--no-build-isolation", "-e", ".")
    session.run("python", "-m", "pytest", *_in_parallel(), *_but_sessions_of_their_own(), *session.posargs)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Make the locks follow pyproject.toml; ``nox -s lock -- --upgrade`` also takes the newest of everything."""
    for name, wanted in LOCKS.items():
        out = f"requirements/{name}.txt"
        follow = [] if name == "dev" else ["-c", "requirements/dev.txt"]
        how = ["--universal", "--python-version", PYTHONS[0], "--generate-hashes", "--no-annotate", "--quiet"]
        command = ["-m", "uv", "pip", "compile", "pyproject.toml", *wanted, *follow, *how, *session.posargs, "-o", out]
        _python(session, *command, env={"UV_CUSTOM_COMPILE_COMMAND": "nox -s lock"})
