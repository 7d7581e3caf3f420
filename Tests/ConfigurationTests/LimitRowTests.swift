import ChimeraBytes
import Testing

@testable import ChimeraConfiguration

/// `limit requests`, `limit connections` and `metrics`.
@Suite struct LimitRowTests {
    @Test(
        arguments: [
            ("limit requests 100/s", 100, 1_000, 100, LimitKey.everything),
            ("limit requests 5/m burst=2 per=client", 5, 60_000, 2, .client),
            ("limit requests 7/h per=site", 7, 3_600_000, 7, .site),
            ("limit requests 1/d burst=50 per=header:X-Key", 1, 86_400_000, 50, .header("x-key")),
        ] as [(String, Int, Int64, Int, LimitKey)])
    func `a rate, its burst and its key`(
        line: String, count: Int, milliseconds: Int64, burst: Int, key: LimitKey
    ) throws {
        let limit = try #require(try site(line + "\nrespond 200").settings.requestLimits.first)
        #expect(limit.rate == Rate(count: count, milliseconds: milliseconds))
        #expect(limit.burst == burst)
        #expect(limit.key == key)
        #expect(!limit.isOfMachine)
    }

    @Test func `limits add up on the way down, and the machine's know that they are`() throws {
        let result = load(
            tenant:
                "site a.example { limit requests 2/s ; limit connections 2 ; respond 200 { limit requests 3/s } }",
            machine: "listen 80\nlimit requests 1/s\nlimit connections 1\n")
        #expect(!result.hasErrors)
        let site = try #require(result.configuration?.sites.first)
        let merged = site.settings.merging(try #require(site.routes.first).settings)
        #expect(merged.requestLimits.map(\.rate.count) == [1, 2, 3])
        #expect(merged.requestLimits.map(\.isOfMachine) == [true, false, false])
        #expect(merged.connectionLimits.map(\.count) == [1, 2])
        #expect(merged.connectionLimits.map(\.countsRequests) == [false, true])
    }

    @Test(arguments: [
        (
            "limit requests 100",
            "\"100\" is not a rate such as 100/s or 5/m; did you mean \"100/s\" or \"100/m\"?"
        ),
        ("limit requests 100/sec", "\"100/sec\" is not a rate such as 100/s or 5/m; did you mean \"100/s\"?"),
        ("limit requests 0/s", "\"0/s\" is not a rate such as 100/s or 5/m"),
        ("limit requests 1/s burst=0", "\"burst=0\" is not a number from 1 to 1000000000"),
        ("limit requests 1/s per=clients", "\"clients\" is not client, site or header:NAME"),
        ("limit requests 1/s per=header:", "\"header:\" is not client, site or header:NAME"),
        ("limit connections many", "\"many\" is not a number from 1 to 1000000000"),
        ("limit connections", "`limit connections` needs COUNT"),
    ])
    func `what is no limit is refused with what was meant`(line: String, message: String) {
        let found = messages(line + "\nrespond 200")
        let first = found.first ?? ""
        // The word may be shown with its option's name or without.
        #expect(
            found.count == 1 && (first.hasPrefix(message) || first.hasPrefix(message.replacingOption)),
            "\(found)")
    }

    @Test func `the machine's connections have no header`() {
        let result = load(machine: "listen 80\nlimit connections 5 per=header:X\n")
        #expect(result.diagnostics.map(\.text).first?.contains("have no header") == true)
    }

    @Test func `metrics make a listener that no line can name and a site that answers there alone`() throws {
        let configuration = try #require(load(machine: "listen 80\nmetrics 127.0.0.1:9100\n").configuration)
        #expect(configuration.warnings.isEmpty)
        #expect(configuration.listeners.map(\.name) == [nil, "(metrics)"])
        let site = try #require(configuration.sites.first)
        #expect(site.isTelemetry && site.on == ["(metrics)"] && site.settings.logAccess == false)
        #expect(site.routes.map(\.text) == ["/metrics", "/ready", "/status"])
        #expect(site.routes.allSatisfy { $0.methods == ["GET", "HEAD"] })
    }

    @Test func `metrics that everyone can reach are warned about`() throws {
        let result = load(machine: "listen 80\nmetrics 9100\n")
        #expect(!result.hasErrors)
        #expect(result.diagnostics.first?.text.contains("everyone") == true)
        #expect(load(machine: "listen 80\nmetrics unix:/run/m.sock\n").diagnostics.isEmpty)
    }

    @Test func `an address is not listened on twice`() {
        let result = load(machine: "listen 127.0.0.1:80\nmetrics 127.0.0.1:80\n")
        #expect(
            result.diagnostics.map(\.text) == ["this address is listened on twice (see chimera.conf:1:1)"])
    }
}

extension String {
    /// Without `burst=` and the like.
    fileprivate var replacingOption: String { replacing("\"burst=", with: "\"") }
}
