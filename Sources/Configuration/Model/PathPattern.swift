/// The path part of a route: segments that are literal or captured, the last perhaps `*` or `*.ext`.
package struct PathPattern: Sendable, Hashable {
    package enum Segment: Sendable, Hashable {
        /// Percent-decoded once, as the normalised path is. Never empty.
        case literal([UInt8])
        /// `{name}`: exactly one segment, never empty.
        case capture(String)
        /// `*`: the rest of the path, also none of it. Last only.
        case rest
        /// `*.ext`: one segment or more, the last of which ends in `.ext`; the payload is `ext`. Last only.
        case fileExtension([UInt8])
    }

    /// Empty for `/`.
    package var segments: [Segment]
    /// As it was written.
    package var text: String

    package init(segments: [Segment], text: String) {
        self.segments = segments
        self.text = text
    }

    /// `/*`, what a verb without a pattern has.
    package static let everything = PathPattern(segments: [.rest], text: "/*")

    /// The literal segments that the pattern begins with: what `files` takes off.
    package var leadingLiterals: Int {
        segments.prefix { if case .literal = $0 { true } else { false } }.count
    }

    /// True if the pattern ends in `*` or `*.ext`, so that it reaches below itself.
    package var isOpen: Bool {
        switch segments.last {
        case .rest, .fileExtension: true
        default: false
        }
    }

    /// Whether the segments of a normalised path fit. The dispatcher has faster means; this is the meaning.
    package func matches(_ path: [[UInt8]]) -> Bool {
        for (index, segment) in segments.enumerated() {
            switch segment {
            case .rest: return true
            case .fileExtension(let name):
                guard index < path.count, let last = path.last else { return false }
                return last.hasExtension(name)
            case .literal(let bytes):
                guard index < path.count, path[index] == bytes else { return false }
            case .capture:
                guard index < path.count, !path[index].isEmpty else { return false }
            }
        }
        return path.count == segments.count
    }
}

extension [UInt8] {
    /// Whether these bytes end in a dot and `name`.
    func hasExtension(_ name: [UInt8]) -> Bool {
        count > name.count && self[count - name.count - 1] == UInt8(ascii: ".")
            && suffix(name.count).elementsEqual(name)
    }
}
