import ChimeraConfiguration
import Testing

/// A small generator with a seed, so that a failure can be repeated (SplitMix64).
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

struct RobustnessTests {
    private static let seeds = [
        """
        listen 8080
        listen unix:/run/x.sock name=internal
        workers auto
        log access json -
        trust 10.0.0.0/8 ::1
        define base { header X-{host} "a {path} \\u{e9}" ; error 502 503 page.html }
        pool web { to 127.0.0.1:9001 ; to unix:/run/a.sock }
        import conf.d/*.conf
        site * { welcome ; on internal }
        """,
        """
        # a tenant
        site Shop.localhost *.shop.localhost **.bücher.example {
            use shared
            @office client 10.0.0.0/8 fe80::/10
            @mobile header User-Agent *Mobile* 'x'
            header Cache-Control max-age=60 env:NAME
            /assets/*     files . index=page.html fallback=/page.html hidden=off
            GET,POST /api/{v}/* @office !@mobile proxy http://127.0.0.1:9001 {v}.x:80 \\
                {host.1}.internal:8080 { prefix /v2 ; timeout answer=5s read=none }
            /admin/*      { auth basic users realm="Our staff" ; allow 10.0.0.0/8 @office ; satisfy any }
            !@office      { closed 503 page.html }
            /old/* /older/{x}/* redirect /new/{rest}?{query} 308
            /*.php        respond 404 "{{no}"
            limit body 20GB ; limit head 16KiB
            /*            rewrite /x
        }
        """,
    ]

    private func isRight(_ bytes: [UInt8]) -> Bool { fuzzConfiguration(bytes.span) }

    @Test(arguments: 0..<40)
    func `mutated files never trap, and formatting them is stable`(seed: Int) {
        var random = SeededGenerator(state: UInt64(seed))
        let scraps = [
            "{", "}", ";", "\"", "'", "\\", "\n", "#", " ", "=", "/", "*", "@", "!@", "{rest}", "{{", "env:",
            "file:", "\r",
            "\u{0}", "é", "%2F", "use", "define", "site", "  { ", "-- ", "\\\n", "://", "[::1]:", "*.",
            "99999999999999999999",
        ].map { Array($0.utf8) }
        for round in 0..<25 {
            var bytes = Array(Self.seeds[round % 2].utf8)
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let place = Int.random(in: 0...bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes.insert(contentsOf: scraps.randomElement(using: &random) ?? [], at: place)
                case 1:
                    let end = min(bytes.count, place + Int.random(in: 0..<20, using: &random))
                    bytes.removeSubrange(place..<end)
                case 2: if place < bytes.count { bytes[place] = UInt8.random(in: 0...255, using: &random) }
                case 3:
                    let end = min(bytes.count, place + Int.random(in: 0..<60, using: &random))
                    bytes.insert(
                        contentsOf: Array(bytes[place..<end]),
                        at: Int.random(in: 0...bytes.count, using: &random))
                default: bytes.removeSubrange(place...)
                }
            }
            #expect(isRight(bytes), "seed \(seed), round \(round): \(String(decoding: bytes, as: UTF8.self))")
        }
    }

    @Test func `the files that the mutations start from are right`() {
        for seed in Self.seeds { #expect(isRight(Array(seed.utf8))) }
    }

    @Test(arguments: 0..<10)
    func `random words of the language never trap`(seed: Int) {
        var random = SeededGenerator(state: 1000 + UInt64(seed))
        let words =
            Schema.directives.flatMap { $0.name.split(separator: " ").map(String.init) }
            + [
                "{", "}", ";", "\n", "\n", "/x/*", "/{a}/*.b", "@m", "header", "10.0.0.0/8", "on", "a:1",
                "200", "t.html", "{rest}",
            ]
        for _ in 0..<40 {
            let count = Int.random(in: 1...80, using: &random)
            let text = (0..<count).map { _ in words.randomElement(using: &random) ?? "" }.joined(
                separator: " ")
            #expect(isRight(Array(text.utf8)), "\(text)")
        }
    }
}
