internal import ChimeraBytes

/// Which paths are not served because of how they are spelled, whatever is on the disk.
struct NameRules: Sendable {
    private let servesHidden: Bool
    /// With the dot, in small letters.
    private let sources: [[UInt8]]

    init(_ options: FilesOptions) {
        servesHidden = options.servesHidden
        sources = options.sourceExtensions.map { [UInt8(ascii: ".")] + $0.utf8.map(\.lowercased) }
    }

    /// Whether there is nothing to be found at `path`.
    func refuse(_ path: Span<UInt8>) -> Bool {
        (!servesHidden && NameRules.hasHiddenSegment(path)) || namesSource(path)
    }

    /// Whether a segment begins with a dot, but `.well-known` (RFC 8615).
    private static func hasHiddenSegment(_ path: Span<UInt8>) -> Bool {
        var index = 0
        while let dot = path.firstIndex(of: UInt8(ascii: "."), from: index) {
            index = dot + 1
            guard dot == 0 || path[dot - 1] == UInt8(ascii: "/") else { continue }
            let end = path.firstIndex(of: UInt8(ascii: "/"), from: dot) ?? path.count
            guard path.extracting(dot..<end).equals(".well-known") else { return true }
        }
        return false
    }

    /// Whether the last segment names source, or what an editor or a compressor made of source. Such endings
    /// are taken off as often as there are any: `a.php.gz~` holds what `a.php` holds.
    func namesSource(_ path: Span<UInt8>) -> Bool {
        guard !sources.isEmpty else { return false }
        var name = path
        repeat {
            for source in sources where name.endsIgnoringCase(with: source.span) { return true }
        } while NameRules.takeOffEnding(of: &name)
        return false
    }

    @_lifetime(name: copy name)
    private static func takeOffEnding(of name: inout Span<UInt8>) -> Bool {
        let endings: [7 of StaticString] = ["/", "~", ".bak", ".orig", ".gz", ".br", ".zst"]
        for index in endings.indices where name.endsIgnoringCase(with: endings[index]) {
            name = name.extracting(droppingLast: endings[index].utf8CodeUnitCount)
            return true
        }
        return false
    }
}

extension Span where Element == UInt8 {
    fileprivate func endsIgnoringCase(with ending: Span<UInt8>) -> Bool {
        count >= ending.count && extracting(last: ending.count).equalsIgnoringCase(ending)
    }

    fileprivate func endsIgnoringCase(with ending: StaticString) -> Bool {
        let length = ending.utf8CodeUnitCount
        return count >= length && extracting(last: length).equalsIgnoringCase(ending)
    }
}
