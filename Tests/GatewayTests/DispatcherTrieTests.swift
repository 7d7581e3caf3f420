import ChimeraBytes
import ChimeraConfiguration
import ChimeraTestSupport
import Testing

@testable import Chimera

/// The trie against `PathPattern.matches` and the order of `Site.routesBySpecificity`.
struct DispatcherTrieTests {
    private struct Collector: RouteTrieVisitor {
        var items: [Int] = []
        var steps = 0
        var stopsAtFirst = false

        mutating func visit(_ item: Int) -> Bool {
            items.append(item)
            return stopsAtFirst
        }

        mutating func entered() { steps += 1 }
    }

    private let position = SourcePosition(file: "t", line: 1, column: 1)

    private func site(_ patterns: [PathPattern]) -> Site {
        let routes = patterns.map {
            Route(pattern: $0, destination: .respond(status: 200, body: .none), position: position)
        }
        return Site(tenant: "t", name: "a", hosts: [.any], routes: routes, position: position)
    }

    private func trie(_ site: Site) -> RouteTrie {
        RouteTrie(site.routesBySpecificity.map { (site.routes[$0].pattern, $0) })
    }

    private func literal(_ text: String) -> PathPattern.Segment { .literal(Array(text.utf8)) }

    @Test(arguments: Array(1...24) as [UInt64])
    func `the trie visits what matches, in the order of specificity`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let names = ["a", "b", "c.php", "d.tar.gz", ".php", "php"]
        let extensions = ["php", "gz", "tar.gz", "r.gz"]
        var patterns: [PathPattern] = []
        for _ in 0..<Int.random(in: 1...60, using: &random) {
            var segments: [PathPattern.Segment] = []
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let name = names.randomElement(using: &random) ?? ""
                segments.append(Bool.random(using: &random) ? literal(name) : .capture("x"))
            }
            switch Int.random(in: 0..<4, using: &random) {
            case 0: segments.append(.rest)
            case 1:
                segments.append(.fileExtension(Array((extensions.randomElement(using: &random) ?? "").utf8)))
            default: break
            }
            patterns.append(PathPattern(segments: segments, text: "\(segments)"))
        }
        let site = site(patterns)
        let trie = trie(site)
        let compiled = patterns.map(CompiledPattern.init)
        for _ in 0..<200 {
            let path = (0..<Int.random(in: 0...5, using: &random)).map { _ in
                names.randomElement(using: &random) ?? ""
            }
            let slash = path.isEmpty || Bool.random(using: &random) ? "/" : ""
            let text = Array(("/" + path.joined(separator: "/") + (path.isEmpty ? "" : slash)).utf8)
            let segments = path.map { Array($0.utf8) }
            let expected = site.routesBySpecificity.filter { patterns[$0].matches(segments) }
            var collector = Collector()
            trie.visit(text.span, &collector)
            #expect(collector.items == expected, "\(path), seed \(seed)")
            let single = patterns.indices.filter { compiled[$0].matches(text.span) }
            #expect(
                single == patterns.indices.filter { patterns[$0].matches(segments) }, "\(path), seed \(seed)")
        }
    }

    @Test(arguments: [1, 100, 10_000])
    func `routes on other paths cost no step`(count: Int) {
        let patterns = (0..<count).flatMap { number in
            [
                PathPattern(segments: [literal("api"), literal("n\(number)"), .rest], text: ""),
                PathPattern(segments: [literal("n\(number)"), .capture("id")], text: ""),
                PathPattern(segments: [.fileExtension(Array("e\(number)".utf8))], text: ""),
            ]
        }
        let trie = trie(site(patterns))
        for path in ["/api/n0/x/y", "/n0/7", "/a/b.e0", "/api/none"] {
            var collector = Collector(stopsAtFirst: true)
            trie.visit(Array(path.utf8).span, &collector)
            #expect(collector.steps <= 4, "\(path)")
        }
    }

    @Test func `an empty trie visits nothing`() {
        var collector = Collector()
        trie(site([])).visit(Array("/a".utf8).span, &collector)
        #expect(collector.items == [])
    }
}
