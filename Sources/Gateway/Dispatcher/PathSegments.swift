internal import ChimeraBytes

/// The segments of a path in its matched form, found where they are needed: no request pays for a table of
/// them.
extension Span where Element == UInt8 {
    /// Where the segment with this number, from 0, stands; nil where the path has fewer.
    func pathSegment(_ number: Int) -> Range<Int>? {
        guard let start = pathOffset(ofSegment: number), start < count else { return nil }
        return start..<(firstIndex(of: UInt8(ascii: "/"), from: start) ?? count)
    }

    /// Where the segment with this number begins, which is the end where the path has exactly so many; nil
    /// where it has fewer.
    func pathOffset(ofSegment number: Int) -> Int? {
        var start = 1
        for _ in 0..<number {
            guard start < count else { return nil }
            start = (firstIndex(of: UInt8(ascii: "/"), from: start) ?? count) + 1
        }
        return Swift.min(start, count)
    }
}
