import ChimeraConfiguration
import ChimeraTestSupport
import Testing

/// What the fuzzer does, in short: the same few mutations of the kept inputs in every run.
@Suite struct `Mutated inputs` {
    private static let scraps = [
        "{", "}", ";", "\"", "'", "\\", "\n", "\r\n", "\r", "#", " ", "\t", "=", "/", "//", "*", "@", "!@",
        ":", ",",
        "{rest}", "{{", "env:", "file:", "\u{0}", "é", "%2F", "%2e%2e", "..", "use", "define", "site", "  { ",
        "-- ",
        "\\\n", "://", "[::1]:", "*.", "99999999999999999999", "0\r\n", "f", "Content-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\n", "Host: a\r\n",
    ].map { Array($0.utf8) }

    @Test(arguments: Property.allCases, 0..<20)
    func `what must hold of any bytes holds of mutated inputs`(_ property: Property, _ seed: Int) throws {
        let inputs = KeptInput.all("Corpus", of: property)
        var random = SeededGenerator(seed: UInt64(seed))
        for _ in 0..<25 {
            let input = try #require(inputs.randomElement(using: &random))
            let bytes = Self.mutated(input.bytes, &random)
            #expect(
                property.failure(of: bytes) == nil,
                "\(String(decoding: bytes, as: UTF8.self).debugDescription)")
        }
    }

    private static func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
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
                let copy = Array(bytes[place..<end])
                bytes.insert(contentsOf: copy, at: Int.random(in: 0...bytes.count, using: &random))
            default: if place > bytes.count / 2 { bytes.removeSubrange(place...) }
            }
        }
        return bytes
    }

    @Test(arguments: 0..<10)
    func `what must hold of a configuration holds of random words of the language`(_ seed: Int) {
        var random = SeededGenerator(seed: 1000 + UInt64(seed))
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
            #expect(Property.configuration.failure(of: Array(text.utf8)) == nil, "\(text)")
        }
    }
}
