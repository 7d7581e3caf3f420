/// A pattern in which `*` stands for any octets, none too, and every other octet for itself.
///
/// It is read once. Matching takes time in proportion to the text alone: the pieces between the stars are
/// looked for one after the other, leftmost first, by the method of Knuth, Morris and Pratt.
package struct Glob: Hashable, Sendable {
    /// As it was written.
    package let text: String
    private let isFolded: Bool
    private let prefix: [UInt8]
    /// Between the first star and the last, without the empty ones.
    private let pieces: [Piece]
    /// Nil where there is no star, and the prefix is the whole text.
    private let suffix: [UInt8]?

    /// - Parameter ignoringCase: whether `A` … `Z` are the same as `a` … `z`.
    package init(_ pattern: Span<UInt8>, ignoringCase: Bool = false) {
        text = pattern.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
        isFolded = ignoringCase
        var parts: [[UInt8]] = [[]]
        for index in 0..<pattern.count {
            if pattern[index] == UInt8(ascii: "*") {
                parts.append([])
            } else {
                parts[parts.count - 1].append(ignoringCase ? pattern[index].lowercased : pattern[index])
            }
        }
        prefix = parts.removeFirst()
        suffix = parts.popLast()
        pieces = parts.filter { !$0.isEmpty }.map(Piece.init)
    }

    /// Case counts.
    package init(_ text: String) { self.init(Array(text.utf8).span) }

    /// Whether the pattern stands for all of `text`.
    package func matches(_ text: Span<UInt8>) -> Bool {
        guard let suffix else { return text.count == prefix.count && has(prefix, text, at: 0) }
        let end = text.count - suffix.count
        guard end >= prefix.count, has(prefix, text, at: 0), has(suffix, text, at: end) else { return false }
        var index = prefix.count
        for piece in pieces {
            guard let next = piece.end(in: text, index..<end, isFolded) else { return false }
            index = next
        }
        return true
    }

    /// `text` is long enough.
    private func has(_ part: [UInt8], _ text: Span<UInt8>, at start: Int) -> Bool {
        for index in part.indices {
            let byte = text[start + index]
            if part[index] != (isFolded ? byte.lowercased : byte) { return false }
        }
        return true
    }
}

extension Glob {
    /// Octets to look for, and how far each prefix of them ends in another.
    fileprivate struct Piece: Hashable, Sendable {
        private let bytes: [UInt8]
        private let borders: [Int]

        /// - Parameter bytes: not empty.
        init(_ bytes: [UInt8]) {
            self.bytes = bytes
            var borders = [0]
            var border = 0
            for byte in bytes.dropFirst() {
                while border > 0, bytes[border] != byte { border = borders[border - 1] }
                if bytes[border] == byte { border += 1 }
                borders.append(border)
            }
            self.borders = borders
        }

        /// Where the first occurrence within `range` ends, or nil.
        func end(in text: Span<UInt8>, _ range: Range<Int>, _ isFolded: Bool) -> Int? {
            var matched = 0
            for index in range {
                let byte = isFolded ? text[index].lowercased : text[index]
                while matched > 0, bytes[matched] != byte { matched = borders[matched - 1] }
                if bytes[matched] == byte { matched += 1 }
                if matched == bytes.count { return index + 1 }
            }
            return nil
        }
    }
}
