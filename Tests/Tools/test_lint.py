"""Tools/lint refuses what it says, and nothing beside it."""
import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(path):
    loader = importlib.machinery.SourceFileLoader("chimera_lint", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


lint = load(ROOT / "Tools/lint")


@pytest.mark.parametrize("path, code", [
    ("Sources/Gateway/A.swift", "let t = Task { await x() }"),
    ("Sources/EventLoop/A.swift", "Task { await x() }"),
    ("Sources/Gateway/A.swift", "Task<Void, Never> { await x() }"),
    ("Sources/Gateway/A.swift", "Task.detached { }"),
    ("Sources/Gateway/A.swift", "Task(priority: .high) { }"),
    ("Sources/EventLoop/A.swift", "Task.immediate { }"),
    ("Sources/Gateway/A.swift", "Task(executorPreference: worker) { }"),
    ("Sources/Files/A.swift", "import Foundation"),
    ("Sources/Files/A.swift", "internal import FoundationEssentials"),
    ("Sources/Files/A.swift", "@preconcurrency import NIOCore"),
    ("Sources/Files/A.swift", "import struct Foundation.Date"),
    ("Sources/Files/A.swift", "let x = try! y()"),
    ("Sources/Files/A.swift", "let x = y as! Int"),
    ("Sources/Files/A.swift", 'fatalError("no")'),
    ("Sources/Files/A.swift", "epoll_wait(a, b, c, d)"),
    ("Sources/Files/A.swift", "let x = EPOLLIN"),
    ("Sources/Gateway/A.swift", "switch request.version {"),
    ("Sources/Gateway/A.swift", "if case .http1_0 = head.version { }"),
    ("Sources/Gateway/A.swift", "final class PoolManager {"),
    ("Sources/Gateway/A.swift", "// TODO: later"),
    ("Package.swift", '.unsafeFlags(["-Ounchecked"])'),
    ("Sources/Gateway/A.swift", 'let s = "a"; let x = try! y()'),
    ("Sources/Gateway/A.swift", '/* one /* two */ */ let x = try! y()'),
])
def test_is_refused(path, code):
    assert [line for line, _ in lint.findings(path, "\n" + code + "\n")] != []


@pytest.mark.parametrize("path, code", [
    ("Sources/EventLoop/A.swift", "Task(executorPreference: worker) { }"),
    ("Sources/EventLoop/A.swift", "Task.immediate(name: n, executorPreference: worker) { }"),
    ("Sources/EventLoop/A.swift", "epoll_wait(a, b, c, d)"),
    ("Sources/Gateway/A.swift", "// a plain Task { } leaves the worker"),
    ("Sources/Gateway/A.swift", "/* /* nested */ try! */ let x = 1"),
    ("Sources/Gateway/A.swift", 'let s = "try! \\" as! fatalError("'),
    ("Sources/Gateway/A.swift", 'let s = #"a " try! "#'),
    ("Sources/Gateway/A.swift", 'let s = """\n  try! x\n  "quoted" as! y\n  """'),
    ("Sources/HTTP1/A.swift", "switch head.version {"),
    ("Sources/Gateway/A.swift", "try? x(); y as? Int; await Task.yield(); subTask { }"),
    ("Sources/Gateway/A.swift", "struct UtilityRate {"),
    ("Tests/GatewayTests/A.swift", "Task { try! x() }"),
])
def test_is_let_through(path, code):
    assert list(lint.findings(path, code + "\n")) == []


def test_the_line_is_named_where_it_stands():
    text = 'let a = """\n  x\n  """ // try!\n\nlet b = try! c()\n'
    assert [line for line, _ in lint.findings("Sources/Files/A.swift", text)] == [5]


def test_a_file_past_the_limit_is_refused():
    assert list(lint.findings("Sources/Files/A.swift", "\n" * lint.FILE_LINES_MAX)) == []
    assert list(lint.findings("Sources/Files/A.swift", "\n" * (lint.FILE_LINES_MAX + 1))) != []


def test_the_command_fails_and_names_the_file(tmp_path):
    (tmp_path / "Sources/Files").mkdir(parents=True)
    (tmp_path / "Package.swift").write_text("import PackageDescription\n")
    (tmp_path / "Sources/Files/A.swift").write_text("import Foundation\n")
    run = subprocess.run([ROOT / "Tools/lint", tmp_path], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stdout.startswith("Sources/Files/A.swift:1: ")


def test_a_folder_without_sources_is_no_success(tmp_path):
    (tmp_path / "Package.swift").write_text("")
    assert subprocess.run([ROOT / "Tools/lint", tmp_path], capture_output=True).returncode == 2
