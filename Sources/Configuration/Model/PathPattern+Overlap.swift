extension PathPattern {
    /// Whether every path that `other` matches is matched by this pattern as well.
    package func covers(_ other: PathPattern) -> Bool {
        for (index, segment) in segments.enumerated() {
            switch segment {
            case .rest: return true
            case .fileExtension(let name): return other.endsOnly(with: name, from: index)
            case .literal(let bytes):
                guard index < other.segments.count, other.segments[index] == .literal(bytes) else {
                    return false
                }
            case .capture:
                guard index < other.segments.count else { return false }
                switch other.segments[index] {
                case .literal, .capture: continue
                case .rest, .fileExtension: return false
                }
            }
        }
        return segments.count == other.segments.count
    }

    /// Whether this pattern has a last segment at `start` or later that always ends in `.name`.
    private func endsOnly(with name: [UInt8], from start: Int) -> Bool {
        guard segments.count > start, let last = segments.last else { return false }
        switch last {
        case .literal(let bytes): return bytes.hasExtension(name)
        case .fileExtension(let other): return other == name || other.hasExtension(name)
        case .capture, .rest: return false
        }
    }

    /// A path that both patterns match, percent-encoded for display; nil where there is none.
    package func example(alsoMatching other: PathPattern) -> String? {
        guard let path = Self.common(segments[...], other.segments[...]) else { return nil }
        return "/" + path.map(Self.encoded).joined(separator: "/")
    }

    private static func common(_ left: ArraySlice<Segment>, _ right: ArraySlice<Segment>) -> [[UInt8]]? {
        var left = left
        var right = right
        var path: [[UInt8]] = []
        while let mine = left.first, let theirs = right.first {
            switch (mine, theirs) {
            case (.rest, _): return sample(right).map { path + $0 }
            case (_, .rest): return sample(left).map { path + $0 }
            case (.fileExtension(let name), _): return sample(right, endingIn: name).map { path + $0 }
            case (_, .fileExtension(let name)): return sample(left, endingIn: name).map { path + $0 }
            case (.literal(let a), .literal(let b)):
                guard a == b else { return nil }
                path.append(a)
            case (.literal(let a), .capture), (.capture, .literal(let a)): path.append(a)
            case (.capture, .capture): path.append(Array("x".utf8))
            }
            left.removeFirst()
            right.removeFirst()
        }
        // One has ended: the other must be able to match nothing.
        guard (left.first ?? .rest) == .rest, (right.first ?? .rest) == .rest else { return nil }
        return path
    }

    /// Segments that these pattern segments match; where `name` is given, ending in `.name`.
    private static func sample(_ segments: ArraySlice<Segment>, endingIn name: [UInt8]? = nil) -> [[UInt8]]? {
        let stem = Array("x".utf8)
        var path: [[UInt8]] = []
        for segment in segments {
            switch segment {
            case .literal(let bytes): path.append(bytes)
            case .capture, .rest: path.append(stem)
            case .fileExtension(let own): path.append(stem + [UInt8(ascii: ".")] + own)
            }
        }
        guard let name else { return path }
        guard let last = segments.last else { return nil }
        switch last {
        case .literal(let bytes): return bytes.hasExtension(name) ? path : nil
        case .capture, .rest:
            path[path.count - 1] = stem + [UInt8(ascii: ".")] + name
            return path
        case .fileExtension(let own):
            if own == name || own.hasExtension(name) { return path }
            guard name.hasExtension(own) else { return nil }
            path[path.count - 1] = stem + [UInt8(ascii: ".")] + name
            return path
        }
    }

    private static func encoded(_ segment: [UInt8]) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        for byte in segment {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                text.append(byte)
            case _ where "-._~!$&'()*+,=:@".utf8.contains(byte): text.append(byte)
            default: text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
