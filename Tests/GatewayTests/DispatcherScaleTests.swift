import ChimeraBytes
import ChimeraConfiguration
import ChimeraHTTPCore
import Testing

@testable import Chimera

struct DispatcherScaleTests {
    private func configuration(sites: Int, routes: Int) -> MachineConfiguration {
        let position = SourcePosition(file: "t", line: 1, column: 1)
        let literal = { (text: String) in PathPattern.Segment.literal(Array(text.utf8)) }
        let list = (0..<routes).map { number in
            Route(
                pattern: PathPattern(segments: [literal("r\(number)"), .rest], text: "/r\(number)/*"),
                destination: .respond(status: 200, body: .text(Template(literal: "r\(number)"))),
                position: position)
        }
        var configuration = MachineConfiguration()
        configuration.sites = (0..<sites).map { number in
            SharedSite(
                Site(
                    tenant: "t\(number)", name: "s\(number).example",
                    hosts: [.exact("s\(number).example"), .wildcard("s\(number).example")], routes: list,
                    position: position))
        }
        return configuration
    }

    @Test func `of ten thousand sites those are compiled that are asked for`() throws {
        let dispatching = try Dispatching(configuration(sites: 10_000, routes: 100))
        #expect(dispatching.dispatcher.compiledSites == 0)
        for number in [0, 4_999, 9_999] {
            #expect(dispatching.ask(Asked("/r99/x", host: "s\(number).example")).body == "r99")
            #expect(dispatching.ask(Asked("/r0", host: "www.s\(number).example")).body == "r0")
        }
        #expect(dispatching.ask(Asked("/r0", host: "s10000.example")).status == 421)
        #expect(dispatching.dispatcher.compiledSites == 3)
    }

    @Test(arguments: [1, 100, 10_000])
    func `a look for a host visits few places however many sites there are`(count: Int) {
        let directory = SiteDirectory(configuration(sites: count, routes: 0).sites, seed: 7)
        #expect(directory.table.longestProbe <= 16)
        #expect(
            directory.table.site(for: Array("s\(count - 1).example".utf8).span, on: .unnamed) == count - 1)
    }

    @Test func `after a change the sites that are the same stay the same objects`() throws {
        let one = "site a.example {\n/* proxy 127.0.0.1:1\n}\n"
        let two = "site b.example {\n/* proxy 127.0.0.1:2\n}\n"
        let machine = "listen 127.0.0.1:80"
        let dispatching = try Dispatching(one + two, machine: machine)
        let a = dispatching.ask(Asked(host: "a.example")).context
        let b = dispatching.ask(Asked(host: "b.example")).context
        let changed = two.replacing("/*", with: "/x/* respond 204\n/*")
        try dispatching.update(one + changed, machine)
        let newA = dispatching.ask(Asked(host: "a.example")).context
        let newB = dispatching.ask(Asked(host: "b.example")).context
        #expect(newA.site === a.site)
        #expect(newB.site !== b.site)
        #expect(b.site?.routes.count == 1)
        guard case .proxy(let before) = b.route?.target, case .proxy(let after) = newB.route?.target else {
            Issue.record("no proxy")
            return
        }
        #expect(before === after)
        try dispatching.update(one, machine)
        #expect(dispatching.ask(Asked(host: "b.example")).status == 421)
        #expect(dispatching.targets.proxies.count == 2)
    }

    @Test func `a context that has ended holds no site`() throws {
        let dispatching = try Dispatching.site("/* respond 200")
        let answered = dispatching.ask("/")
        answered.context.end()
        #expect(answered.context.site == nil)
        #expect(answered.context.route == nil)
        #expect(answered.context.settings == nil)
    }
}
