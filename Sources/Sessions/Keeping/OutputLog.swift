internal import Glibc

/// The last octets that a program wrote, of both its streams, in the order in which they came.
///
/// ```
///  0 ┄┄┄┄┄┄┄┄┄┄┄ start ───── position ───── end
///   lost or read          a reader
/// ```
/// A position counts octets since the program began. What has no room drives out the oldest; a reader whose position is
/// before `start` has lost what is between.
package struct OutputLog: Sendable {
    package typealias Stream = TaggedStreams.Stream

    private struct Piece {
        var stream: Stream
        var end: Int64
    }

    package let capacity: Int
    /// Where what is kept begins.
    package private(set) var start: Int64
    /// Behind the last octet.
    package private(set) var end: Int64
    /// A ring: an octet is at its position, modulo the count.
    private var storage: [UInt8] = []
    private var pieces: [Piece] = []
    private var firstPiece = 0

    private static let storageMin = 1024

    package init(capacity: Int, from position: Int64 = 0) {
        self.capacity = max(1, capacity)
        (start, end) = (position, position)
    }

    package var count: Int { Int(end - start) }

    // MARK: Writing

    package mutating func append(_ stream: Stream, _ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        let kept = min(bytes.count, capacity)
        reserve(min(capacity, count + kept))
        end += Int64(bytes.count)
        start = max(start, end - Int64(storage.count))
        store(UnsafeRawBufferPointer(rebasing: bytes.suffix(kept)))
        if let last = pieces.indices.last, last >= firstPiece, pieces[last].stream == stream {
            pieces[last].end = end
        } else {
            pieces.append(Piece(stream: stream, end: end))
        }
        while firstPiece < pieces.count, pieces[firstPiece].end <= start { firstPiece += 1 }
        if firstPiece > 64 && firstPiece > pieces.count / 2 {
            pieces.removeFirst(firstPiece)
            firstPiece = 0
        }
    }

    private mutating func reserve(_ needed: Int) {
        guard storage.count < needed else { return }
        let size = min(capacity, max(needed, storage.count * 2, Self.storageMin))
        var larger = [UInt8](repeating: 0, count: size)
        for position in start..<end {
            larger[Int(position % Int64(size))] = storage[Int(position % Int64(storage.count))]
        }
        storage = larger
    }

    /// The octets before `end`.
    private mutating func store(_ bytes: UnsafeRawBufferPointer) {
        let size = storage.count
        let first = Int((end - Int64(bytes.count)) % Int64(size))
        let head = min(bytes.count, size - first)
        storage.withUnsafeMutableBytes { room in
            guard let base = room.baseAddress, let source = bytes.baseAddress else { return }
            memcpy(base + first, source, head)
            memcpy(base, source + head, bytes.count - head)
        }
    }

    // MARK: Reading

    /// What is at a position: of which stream, and how many octets of it follow; nil at the end. The position must not be
    /// before `start`.
    package func piece(at position: Int64) -> (stream: Stream, count: Int)? {
        guard position >= start, position < end else { return nil }
        var (low, high) = (firstPiece, pieces.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].end > position { high = middle } else { low = middle + 1 }
        }
        guard pieces.indices.contains(low) else { return nil }
        return (pieces[low].stream, Int(pieces[low].end - position))
    }

    /// Copies octets that are there.
    package func copy(from position: Int64, into room: UnsafeMutableRawBufferPointer) {
        let count = min(room.count, Int(end - position))
        guard position >= start, count > 0 else { return }
        let first = Int(position % Int64(storage.count))
        let head = min(count, storage.count - first)
        storage.withUnsafeBytes { bytes in
            guard let target = room.baseAddress, let base = bytes.baseAddress else { return }
            memcpy(target, base + first, head)
            memcpy(target + head, base, count - head)
        }
    }

    /// The first position at or behind `position` at which no character is cut.
    package func wholeCharacter(from position: Int64) -> Int64 {
        var found = position
        while found < end, found < position + 3, storage[Int(found % Int64(storage.count))] & 0xC0 == 0x80 {
            found += 1
        }
        return found
    }

    /// Where the next line begins behind `position`; the end where none does.
    package func line(behind position: Int64) -> Int64 {
        var found = position
        while found < end {
            found += 1
            if storage[Int((found - 1) % Int64(storage.count))] == UInt8(ascii: "\n") { return found }
        }
        return end
    }
}

// MARK: - As octets

extension OutputLog {
    /// For another process: the positions, the pieces, and what is kept.
    ///
    /// ```
    ///  start (8) end (8) number of pieces (8), then for each its stream (8) and its end (8), then the octets
    /// ```
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        let kept = pieces[firstPiece...]
        for number in [start, end, Int64(kept.count)] { bytes += Self.octets(number) }
        for piece in kept { bytes += Self.octets(piece.stream == .stdout ? 1 : 2) + Self.octets(piece.end) }
        var content = [UInt8](repeating: 0, count: count)
        content.withUnsafeMutableBytes { copy(from: start, into: $0) }
        return bytes + content
    }

    /// Nil for what is none, or is larger than `capacity`.
    package init?(_ bytes: [UInt8], capacity: Int) {
        guard bytes.count >= 24 else { return nil }
        let (first, last, number) = (Self.number(bytes, 0), Self.number(bytes, 8), Self.number(bytes, 16))
        guard first >= 0, last >= first, last - first <= Int64(max(1, capacity)),
            number >= 0, number <= last - first, bytes.count == 24 + Int(number) * 16 + Int(last - first)
        else { return nil }
        self.init(capacity: capacity, from: first)
        let content = 24 + Int(number) * 16
        for index in 0..<Int(number) {
            let stream = Self.number(bytes, 24 + index * 16)
            let pieceEnd = Self.number(bytes, 32 + index * 16)
            guard stream == 1 || stream == 2, pieceEnd > end, pieceEnd <= last else { return nil }
            let range = (content + Int(end - first))..<(content + Int(pieceEnd - first))
            bytes.withUnsafeBytes { all in
                append(stream == 1 ? .stdout : .stderr, UnsafeRawBufferPointer(rebasing: all[range]))
            }
        }
        guard end == last else { return nil }
    }

    static func octets(_ number: Int64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }

    static func number(_ bytes: [UInt8], _ at: Int) -> Int64 {
        (0..<8).reduce(0) { $0 | Int64(bytes[at + $1]) << ($1 * 8) }
    }
}
