internal import ChimeraBytes
internal import ChimeraConfiguration

/// One path pattern, as a matcher has it: what `PathPattern.matches` says, on the bytes of a path.
struct CompiledPattern {
    private let segments: ContiguousArray<PathPattern.Segment>

    init(_ pattern: PathPattern) {
        segments = ContiguousArray(
            pattern.segments.map { segment in
                // Copied byte by byte, so that no two workers count references of one array.
                switch segment {
                case .literal(let bytes): .literal(bytes.map { $0 })
                case .fileExtension(let bytes): .fileExtension(bytes.map { $0 })
                case .capture, .rest: segment
                }
            })
    }

    /// Whether `path`, in its matched form, fits; a slash at its end does not count.
    func matches(_ path: Span<UInt8>) -> Bool {
        var start = 1
        for segment in segments {
            if case .rest = segment { return true }
            guard start < path.count else { return false }
            let end = path.firstIndex(of: UInt8(ascii: "/"), from: start) ?? path.count
            switch segment {
            case .literal(let bytes):
                guard path.extracting(start..<end).equals(bytes.span) else { return false }
            case .fileExtension(let bytes): return Self.endsIn(bytes, path)
            case .capture, .rest: break
            }
            start = end + 1
        }
        return start >= path.count
    }

    private static func endsIn(_ name: [UInt8], _ path: Span<UInt8>) -> Bool {
        let end = path[path.count - 1] == UInt8(ascii: "/") ? path.count - 1 : path.count
        let dot = end - name.count - 1
        return dot > 0 && path[dot] == UInt8(ascii: ".") && path.extracting((dot + 1)..<end).equals(name.span)
    }
}
