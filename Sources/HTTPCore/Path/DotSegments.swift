internal import ChimeraBytes

/// RFC 3986 §5.2.4: removal of the segments `.` and `..`, where a dot may be spelled `%2E`.
enum DotSegments {
    /// Appends `path` to the empty `output` without its dot segments.
    ///
    /// - Parameter path: begins with a slash.
    /// - Returns: whether there was one.
    static func resolve(_ path: Span<UInt8>, into output: inout [UInt8]) -> Bool {
        var found = false
        var start = 1
        while true {
            let end = path.firstIndex(of: .slash, from: start) ?? path.count
            let segment = path.extracting(start..<end)
            let isLast = end == path.count
            switch Kind(segment) {
            case .ordinary:
                output.append(.slash)
                output.append(bytes: segment)
            case .current:
                found = true
                if isLast { output.append(.slash) }
            case .parent:
                found = true
                removeLastSegment(of: &output)
                if isLast { output.append(.slash) }
            }
            if isLast { return found }
            start = end + 1
        }
    }

    /// Removes the last slash and what follows it.
    private static func removeLastSegment(of output: inout [UInt8]) {
        while let last = output.popLast(), last != .slash {}
    }

    enum Kind {
        case ordinary, current, parent

        init(_ segment: Span<UInt8>) {
            var dots = 0
            var index = 0
            while index < segment.count {
                if segment[index] == .dot {
                    index += 1
                } else if segment[index] == UInt8(ascii: "%"), segment.escapedByte(at: index) == .dot {
                    index += 3
                } else {
                    dots = 0
                    break
                }
                dots += 1
            }
            self =
                switch dots {
                case 1: .current
                case 2: .parent
                default: .ordinary
                }
        }
    }
}
