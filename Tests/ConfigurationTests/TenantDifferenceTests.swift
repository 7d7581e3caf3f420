import Testing

@testable import ChimeraConfiguration

struct TenantDifferenceTests {
    private func source(_ id: String, _ text: String) -> TenantSource {
        TenantSource(id: id, file: "conf.d/\(id).conf", path: "/conf.d/\(id).conf", text: Array(text.utf8))
    }

    @Test func `what is the same is not shown`() {
        #expect(TenantDifference.between(running: [source("a", "x\n")], disk: [source("a", "x\n")]) == [])
    }

    @Test func `what came, went and changed is shown with its lines`() {
        let old = (1...9).map { "line \($0)" }.joined(separator: "\n") + "\n"
        let differences = TenantDifference.between(
            running: [source("a", "gone\n"), source("b", old)],
            disk: [source("b", old.replacing("line 5", with: "new 5\nnew 6")), source("c", "fresh\n")])
        #expect(
            differences.map(\.text) == [
                "conf.d/a.conf: removed\n-gone\n",
                "conf.d/b.conf: changed\n@@ -2 +2 @@\n line 2\n line 3\n line 4\n-line 5\n+new 5\n+new 6\n line 6\n"
                    + " line 7\n line 8\n",
                "conf.d/c.conf: added\n+fresh\n",
            ])
    }

    @Test func `nothing of a file drives a terminal`() {
        let differences = TenantDifference.between(
            running: [source("a", "one\n\u{1b}[31mred\n"), source("g\u{7}", "\u{9b}2J\n")],
            disk: [source("a", "one\ntwo\tthree\r\n"), source("c", "\u{1b}]0;title\u{7}\n")])
        #expect(
            differences.map(\.text) == [
                "conf.d/a.conf: changed\n@@ -1 +1 @@\n one\n-\u{241b}[31mred\n+two\tthree\u{240d}\n",
                "conf.d/c.conf: added\n+\u{241b}]0;title\u{2407}\n",
                "conf.d/g\u{2407}.conf: removed\n-\u{fffd}2J\n",
            ])
    }

    @Test func `texts that look the same are different where their octets are`() {
        let differences = TenantDifference.between(
            running: [source("a", "caf\u{e9}\n")], disk: [source("a", "cafe\u{301}\n")])
        #expect(differences.map(\.lines) == [["@@ -1 +1 @@", "-caf\u{e9}", "+cafe\u{301}"]])
    }

    @Test func `a file that cannot be read is not one that is gone`() {
        var unreadable = source("a", "")
        unreadable.failure = .denied
        for running in [[source("a", "x\n")], []] {
            let differences = TenantDifference.between(running: running, disk: [unreadable])
            #expect(differences.map(\.kind) == [.unreadable])
            #expect(
                differences.map(\.text) == [
                    "conf.d/a.conf: unreadable, since it cannot be read: permission denied\n"
                ])
        }
    }

    @Test func `of two files with one stem the difference takes the one that serves`() throws {
        let disk = MemoryFileSystem(files: [
            "chimera.conf": "listen 1\nimport conf.d/*.conf more.d/*.conf\n",
            "conf.d/a.conf": "first", "more.d/a.conf": "second",
        ])
        let loader = ConfigurationLoader(fileSystem: disk)
        let known = TenantSource(id: "a", file: "x", path: "/etc/chimera/more.d/a.conf", text: [])
        for (running, expected) in [([], "first"), ([known], "second")] {
            let sources = try #require(
                loader.tenantSources(machineFile: "chimera.conf", running: running))
            #expect(sources.map(\.text) == [Array(expected.utf8)])
        }
    }

    @Test func `applied to the old lines the difference gives the new ones`() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            let words = ["a", "b", "c"]
            let old = (0..<Int.random(in: 0...8, using: &random)).map { _ in
                words.randomElement(using: &random) ?? ""
            }
            let new = (0..<Int.random(in: 0...8, using: &random)).map { _ in
                words.randomElement(using: &random) ?? ""
            }
            let lines = LineDifference.lines(old.map { Array($0.utf8) }, new.map { Array($0.utf8) }).filter {
                !$0.hasPrefix("@@")
            }
            guard old != new else { continue }
            let gone = lines.filter { $0.hasPrefix("-") }.count
            let fresh = lines.filter { $0.hasPrefix("+") }.count
            #expect(old.count - gone + fresh == new.count)
        }
    }
}
