import ChimeraBytes
import ChimeraConfiguration
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

@testable import Chimera

struct DispatcherSiteTests {
    private let sites = """
        site shop.example { respond 200 exact }
        site *.shop.example { respond 200 star }
        site **.shop.example { respond 200 stars }
        site **.example { respond 200 top }
        site **.www.deep.shop.example { respond 200 longest }
        site *.other.example { respond 200 other }
        site [2001:db8::1] { respond 200 literal }
        """

    @Test(arguments: [
        ("shop.example", "exact"), ("SHOP.Example", "exact"), ("shop.example.", "exact"),
        ("shop.example:8080", "exact"), ("Shop.Example.:80", "exact"), ("a.shop.example", "star"),
        ("a.b.shop.example", "stars"), ("www.deep.shop.example", "stars"),
        ("x.www.deep.shop.example", "longest"),
        ("x.y.www.deep.shop.example", "longest"), ("z.example", "top"), ("a.z.example", "top"),
        ("a.other.example", "other"), ("a.b.other.example", "top"), ("other.example", "top"),
        ("[2001:DB8:0::1]:443", "literal"),
    ])
    func `the site that names the host answers, else the longest wildcard`(host: String, body: String) throws
    {
        #expect(try Dispatching(sites).ask(Asked(host: host)).body == body)
    }

    @Test(arguments: ["unknown.test", "example", "xshop.example.test", ""])
    func `an unknown host is 421 without a site for all`(host: String) throws {
        let answered = try Dispatching(sites).ask(Asked(host: host))
        #expect(answered.status == 421)
        #expect(answered.context.site == nil)
    }

    @Test(arguments: ["unknown.test", "", "192.0.2.1"])
    func `a site for all takes the hosts that no other names`(host: String) throws {
        let dispatching = try Dispatching(sites, machine: "listen 127.0.0.1:80\nsite * { respond 200 any }\n")
        #expect(dispatching.ask(Asked(host: host)).body == "any")
        #expect(dispatching.ask(Asked(host: "shop.example")).body == "exact")
    }

    @Test(arguments: ["a b", "user@shop.example", "shop..example", ".", "shop.example:x", "[::1", "a,b"])
    func `an invalid host is 400`(host: String) throws {
        let answered = try Dispatching(sites).ask(Asked(host: host))
        #expect(answered.status == 400)
        #expect(answered.context.refusal == .hostMalformed)
    }

    @Test func `a site with a listener's name answers there alone, and may repeat a host`() throws {
        let machine = """
            listen 127.0.0.1:80
            listen 127.0.0.1:81 name=internal
            listen 127.0.0.1:82 name=unused
            """
        let dispatching = try Dispatching(
            """
            site a.example { respond 200 outside }
            site a.example b.example { on internal
            respond 200 inside
            }
            """, machine: machine)
        #expect(dispatching.ask(Asked(host: "a.example")).body == "outside")
        #expect(dispatching.ask(Asked(host: "a.example", listener: "internal")).body == "inside")
        #expect(dispatching.ask(Asked(host: "b.example", listener: "internal")).body == "inside")
        #expect(dispatching.ask(Asked(host: "b.example")).status == 421)
        #expect(dispatching.ask(Asked(host: "a.example", listener: "unused")).status == 421)
    }

    @Test func `the canonical host is small and without port and dot`() throws {
        let answered = try Dispatching(sites).ask(Asked(host: "A.SHOP.example.:99"))
        #expect(String(copying: answered.context.canonicalHost) == "a.shop.example")
        #expect(String(copying: answered.context.hostLabel(1)) == "a")
        #expect(String(copying: answered.context.hostLabel(3)) == "example")
        #expect(String(copying: answered.context.hostLabel(4)) == "")
    }

    /// What the directory has to say, by looking at every pattern of every site.
    private func expected(_ host: String, _ sites: [Site]) -> Int? {
        var best: (length: Int, kind: Int, site: Int)?
        for (number, site) in sites.enumerated() {
            for pattern in site.hosts where pattern.matches(host) {
                let rank: (Int, Int) =
                    switch pattern {
                    case .exact: (1000, 3)
                    case .wildcard(let name): (name.utf8.count, 2)
                    case .deepWildcard(let name): (name.utf8.count, 1)
                    case .any: (-1, 0)
                    }
                if let known = best, (known.length, known.kind) >= rank { continue }
                best = (rank.0, rank.1, number)
            }
        }
        return best?.site
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func `the directory agrees with a look at every pattern`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let labels = ["a", "b", "c", "www", "x-1"]
        func name(_ count: ClosedRange<Int>) -> String {
            (0..<Int.random(in: count, using: &random)).map { _ in labels.randomElement(using: &random) ?? ""
            }
            .joined(separator: ".")
        }
        let position = SourcePosition(file: "t", line: 1, column: 1)
        var sites: [Site] = []
        for _ in 0..<40 {
            let pattern: HostPattern =
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<4: .exact(name(1...4))
                case 4..<7: .wildcard(name(1...3))
                case 7..<9: .deepWildcard(name(1...3))
                default: .any
                }
            if sites.contains(where: { $0.hosts == [pattern] }) { continue }
            sites.append(Site(tenant: "t", name: "\(pattern)", hosts: [pattern], position: position))
        }
        let directory = SiteDirectory(sites.map(SharedSite.init), seed: seed)
        for _ in 0..<400 {
            let host = name(1...5)
            let found = directory.table.site(for: Array(host.utf8).span, on: .unnamed)
            #expect(found == expected(host, sites), "\(host), seed \(seed)")
        }
    }
}
