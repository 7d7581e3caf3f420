/// The directive table, and how it is searched.
package enum Schema {
    /// Every directive of the language, also those of later versions.
    package static let directives: [Directive] =
        machineDirectives + processDirectives + structureDirectives + tlsDirectives + verbDirectives
        + upstreamDirectives
        + settingDirectives + guardRailDirectives + laterDirectives

    /// Rows by name; several where the same name means different things in different places.
    private static let byName = Dictionary(grouping: directives, by: \.name)

    /// The first words of rows with two words.
    private static let families: [String: [String]] = Dictionary(
        grouping: Set(directives.map(\.name).filter { $0.contains(" ") }),
        by: { String($0.prefix { $0 != " " }) })

    static let verbs = Set(directives.filter { $0.family == .verb }.map(\.name))

    /// The rows with this name.
    static func rows(named name: String) -> [Directive] { byName[name] ?? [] }

    /// The second words that may follow this first one; nil where it is a whole name.
    static func secondWords(after first: String) -> [String]? {
        families[first].map { names in names.map { String($0.dropFirst(first.count + 1)) } }
    }

    /// The second words that this version has after a first one, as a message lists them.
    static func knownSecondWords(after first: String) -> String {
        let words = (secondWords(after: first) ?? []).filter { word in
            rows(named: "\(first) \(word)").contains { $0.since == .first }
        }
        return words.sorted().joined(separator: ", ")
    }

    /// The first words of all that may stand in this place.
    static func firstWords(in place: Places) -> [String] {
        let names = directives.filter { !$0.places.isDisjoint(with: place) }.map {
            String($0.name.prefix { $0 != " " })
        }
        return Array(Set(names))
    }
}

/// The closest of a list of words to one that is not in it.
enum NearMiss {
    /// Words that differ from `word` by little more than a slip, the nearest alone; empty where none is near.
    static func suggestions(for word: String, among words: some Sequence<String>) -> [String] {
        let bytes = Array(word.utf8)
        guard !bytes.isEmpty, bytes.count <= 40 else { return [] }
        var best: (distance: Int, words: [String]) = (max(1, min(3, bytes.count / 3)), [])
        for candidate in words where candidate != word {
            let other = Array(candidate.utf8)
            var distance = distance(bytes, other, atMost: best.distance)
            if distance > 1, drawn(bytes) == drawn(other) { distance = 1 }
            guard distance <= best.distance else { continue }
            if distance < best.distance { best = (distance, []) }
            best.words.append(candidate)
        }
        return Array(best.words.sorted().prefix(2))
    }

    /// As the eye has it: many typefaces draw `rn` like `m`.
    private static func drawn(_ word: [UInt8]) -> [UInt8] {
        var drawn: [UInt8] = []
        for byte in word {
            if byte == UInt8(ascii: "n"), drawn.last == UInt8(ascii: "r") {
                drawn[drawn.count - 1] = UInt8(ascii: "m")
            } else {
                drawn.append(byte)
            }
        }
        return drawn
    }

    /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
    static func distance(_ left: [UInt8], _ right: [UInt8], atMost limit: Int) -> Int {
        guard abs(left.count - right.count) <= limit else { return limit + 1 }
        var before: [Int] = []
        var previous = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            for column in 0..<right.count {
                let cost = left[row] == right[column] ? 0 : 1
                var best = min(previous[column] + cost, previous[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    best = min(best, before[column - 1] + 1)
                }
                current.append(best)
            }
            before = previous
            previous = current
        }
        return previous[right.count]
    }
}
