internal import ChimeraBytes

/// Writes the form of a path that routes are looked up by: decoded, without parameters or empty segments.
struct MatchedForm {
    /// Where the segment being written begins in the output.
    private var segmentStart: Int
    private var isInParameters = false
    private var isChanged = false

    private init(segmentStart: Int) {
        self.segmentStart = segmentStart
    }

    /// Appends to `storage`, which holds a path without dot segments and bad escapes, that path's matched
    /// form.
    ///
    /// - Returns: whether it differs from the path.
    static func append(to storage: inout [UInt8]) throws(PathNormaliser.Refusal) -> Bool {
        let end = storage.count
        storage.reserveCapacity(end * 2)
        storage.append(.slash)
        var form = MatchedForm(segmentStart: storage.count)
        var index = 1
        while index < end {
            index += try form.take(index, &storage)
        }
        try form.checkSegment(storage)
        return form.isChanged
    }

    /// Takes the octet or escape at `index`.
    ///
    /// - Returns: how many octets that were.
    private mutating func take(
        _ index: Int, _ storage: inout [UInt8]
    ) throws(PathNormaliser.Refusal) -> Int {
        let byte = storage[index]
        switch byte {
        case .slash:
            isInParameters = false
            try endSegment(&storage)
            return 1
        case UInt8(ascii: ";"):
            isInParameters = true
            isChanged = true
            return 1
        case UInt8(ascii: "%"):
            // The path has been checked, so the escape is whole; a NUL would be refused above, not believed.
            let decoded = storage.span.escapedByte(at: index) ?? 0
            isChanged = true
            try takeDecoded(decoded, &storage)
            return 3
        default:
            if !isInParameters { storage.append(byte) }
            return 1
        }
    }

    private mutating func takeDecoded(
        _ byte: UInt8, _ storage: inout [UInt8]
    ) throws(PathNormaliser.Refusal) {
        if byte == .slash {
            if isInParameters { throw .slashInParameters }
            try endSegment(&storage)
        } else if !isInParameters {
            storage.append(byte)
        }
    }

    /// Ends the segment, with a slash unless it is empty: the slash before it serves.
    private mutating func endSegment(_ storage: inout [UInt8]) throws(PathNormaliser.Refusal) {
        if storage.count == segmentStart {
            isChanged = true
            return
        }
        try checkSegment(storage)
        storage.append(.slash)
        segmentStart = storage.count
    }

    /// Refuses a segment that is, or that some would shorten to, a dot segment.
    private func checkSegment(_ storage: [UInt8]) throws(PathNormaliser.Refusal) {
        let segment = storage.span.extracting(segmentStart..<storage.count)
        // A semicolon that stands here was an escape. It is data to us (RFC 3986 §2.2), but an upstream that
        // leaves out parameters after decoding would see what is before it.
        let name = segment.extracting(0..<(segment.firstIndex(of: UInt8(ascii: ";")) ?? segment.count))
        if name.equals(".") || name.equals("..") { throw .hiddenDotSegment }
    }
}
