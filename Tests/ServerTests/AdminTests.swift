import Testing

@testable import ChimeraAdministration
@testable import ChimeraServer

@Suite struct JSONTests {
    @Test(
        arguments: [
            ("null", .null), (" true ", .bool(true)), ("-12", .integer(-12)), ("0", .integer(0)),
            ("1.5e1", .number(15)), ("\"a\\n\\u00e9\\ud83d\\ude00\"", .string("a\né😀")), ("[]", .array([])),
            ("[1,[2]]", .array([.integer(1), .array([.integer(2)])])), ("{}", .object([])),
            ("{\"a\":1}", .of(["a": .integer(1)])), ("\"é\"", .string("é")),
            ("9223372036854775808", .number(9_223_372_036_854_775_808)),
        ] as [(String, JSON)])
    func `a value is read as it is meant`(text: String, value: JSON) {
        #expect(JSON(Array(text.utf8)) == value)
    }

    @Test(arguments: [
        "", " ", "nul", "tru", "01", "-", "1.", "1e", "+1", "\"", "\"\\x\"", "\"\\ud800\"", "\"\\u12\"",
        "\"\u{01}\"", "[", "[1", "[1,]", "[1 2]", "{", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "1 2",
        "{}x",
        "'a'", "NaN",
    ])
    func `what is no JSON is refused`(text: String) {
        #expect(JSON(Array(text.utf8)) == nil)
    }

    @Test func `what is not UTF-8 is refused`() {
        #expect(JSON([0x22, 0xFF, 0x22]) == nil)
    }

    @Test(arguments: [16, 17, 100_000])
    func `depth has a bound`(depth: Int) {
        let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect((JSON(Array(text.utf8)) != nil) == (depth <= JSON.depthMax + 1))
    }

    @Test func `what is written is read`() {
        let value = JSON.of([
            "a": .string("\"\\\n\u{1b}é😀"), "b": .array([.bool(false), .null, .number(0.5)]), "c": nil,
        ])
        #expect(JSON(Array(value.text.utf8)) == value)
        #expect(!value.text.unicodeScalars.contains { $0.value < 0x20 })
        #expect(value["c"] == nil)
    }
}

@Suite struct AdminRequestTests {
    private func parse(_ text: String) -> AdminRequest? { try? AdminRequest.parse(Array(text.utf8)).get() }

    @Test(
        arguments: [
            ("{\"command\":\"status\"}", .status), ("{\"command\":\"upgrade\"}", .upgrade),
            ("{\"command\":\"stop\"}", .stop(atOnce: false)),
            ("{\"command\":\"stop\",\"now\":true}", .stop(atOnce: true)),
            ("{\"command\":\"reload\"}", .dataPlane(generation: nil)),
            ("{\"command\":\"connections\",\"generation\":3}", .dataPlane(generation: 3)),
            ("{\"command\":\"what\",\"generation\":\"x\"}", .dataPlane(generation: nil)),
        ] as [(String, AdminRequest.Command)])
    func `a request says who answers it`(text: String, command: AdminRequest.Command) {
        #expect(parse(text)?.command == command)
    }

    @Test(arguments: ["", "status", "[]", "{}", "{\"command\":1}", "{\"command\":\"status\"", "\u{0}"])
    func `a line that is none is refused with a reason`(text: String) {
        guard case .failure(let malformed) = AdminRequest.parse(Array(text.utf8)) else {
            Issue.record("it was taken")
            return
        }
        #expect(!malformed.reason.isEmpty)
    }

    @Test func `a line has a bound`() {
        let long =
            "{\"command\":\"status\",\"x\":\"" + String(repeating: "x", count: AdminRequest.bytesMax) + "\"}"
        #expect(parse(long) == nil)
        #expect(AdminRequest.parse(Array(long.utf8)) == .failure(.init(reason: "the request is too long")))
    }
}

@Suite struct AdminSocketTests {
    @Test func `the usual file has the plain name, and any other a name of its own`() {
        func places(_ file: String, _ environment: [String: String] = [:]) -> [String] {
            AdminSocket.places(machineFile: file, user: 12) { environment[$0] }
        }
        #expect(
            places("/etc/chimera/chimera.conf") == ["/run/chimera/admin.sock", "/tmp/chimera-12/admin.sock"])
        let other = places("/srv/a.conf", ["XDG_RUNTIME_DIR": "/run/user/12"])
        #expect(other.count == 3)
        #expect(other[1].hasPrefix("/run/user/12/chimera/admin-"))
        #expect(other != places("/srv/b.conf", ["XDG_RUNTIME_DIR": "/run/user/12"]))
        #expect(places("/srv/a.conf", ["XDG_RUNTIME_DIR": "relative"]).count == 2)
    }
}

@Suite struct StatusTextTests {
    private let answer = JSON.of([
        "supervisor": .of([
            "version": .string("1"), "pid": .integer(7), "uptime_ms": .integer(61_000),
            "restarts": .integer(2),
            "data_planes": .array([
                .of([
                    "generation": .integer(3), "pid": .integer(8), "version": .string("2"),
                    "state": .string("serving"), "uptime_ms": .integer(999),
                ])
            ]),
            "last_death": .of([
                "generation": .integer(2), "how": .string("signal 11"), "ago_ms": .integer(7_200_000),
                "lines": .array([.string("bad\u{1b}[2J")]),
            ]),
        ]),
        "data_plane": .of([
            "workers": .array([.of(["connections": .integer(1)]), .of(["connections": .integer(2)])]),
            "connections": .integer(3), "requests": .integer(4), "sites": .integer(5),
            "listening": .array([.string("*:80")]),
            "outdated_tenants": .array([
                .of(["tenant": .string("shop"), "why": .array([.string("shop.conf:1:1: no")])]),
                .of(["tenant": .string("old"), "served_since": .integer(1), "why": .array([])]),
            ]),
            "last_reload": .of([
                "outcome": .string("failed"), "why": .array([.string("chimera.conf:1:1: no")]),
            ]),
        ]),
    ])

    @Test func `a status reads as lines`() {
        #expect(
            StatusText.of(answer) == """
                chimera 1, up 1m 1s, pid 7
                data plane 3: serving, up 999ms, pid 8, version 2
                2 restarts; data plane 2 ended 2h 0m ago: signal 11
                    bad\u{FFFD}[2J
                listening on *:80
                2 workers, 3 connections (1 + 2)
                5 sites, 4 requests
                the last reload failed, and the configuration before it serves
                    chimera.conf:1:1: no
                tenant shop is not served
                    shop.conf:1:1: no
                tenant old serves an older version of its file

                """)
    }

    @Test func `an answer without anything is still a text`() {
        #expect(StatusText.of(.null).contains("no data plane"))
        #expect(StatusText.connections([]) == "0 connections\n")
    }

    @Test(
        arguments: [(0, "0ms"), (1000, "1s"), (60_000, "1m 0s"), (3_600_000, "1h 0m"), (90_000_000, "1d 1h")]
            as [(Int64, String)])
    func `a time has two units at most`(milliseconds: Int64, text: String) {
        #expect(StatusText.duration(.integer(milliseconds)) == text)
    }
}
