public import ChimeraBytes

/// One field line: its name as small integer and as bytes, and its value, both slices of the block's bytes.
@usableFromInline
package struct FieldLine {
    @usableFromInline
    package var name: FieldName
    /// False once the line was taken out; it stays in the table so that indices keep their meaning.
    @usableFromInline
    package var isPresent = true
    /// The name as it was written; empty for a well-known name that was added by its small integer.
    @usableFromInline
    package var nameBytes: Slice
    @usableFromInline
    package var value: Slice

    @inlinable @inline(__always)
    package init(name: FieldName, nameBytes: Slice, value: Slice) {
        self.name = name
        self.nameBytes = nameBytes
        self.value = value
    }
}

/// The field section of a message (RFC 9110 §5): one run of bytes and a table of slices into it, reused from
/// message to message so that a message in steady state allocates nothing.
///
/// ```
/// bytes  GET /a HTTP/1.1␍␊Host: x␍␊Accept: *␍␊ … then whatever was added
/// lines          [Host | 16+1] [Accept | 27+1] …
/// first  Host → 1, Accept → 2 (index + 1 of the first line of each well-known name)
/// ```
@usableFromInline
package class FieldBlock {
    @exclusivity(unchecked)
    @usableFromInline package final private(set) var bytes: UnsafeMutablePointer<UInt8>
    @exclusivity(unchecked)
    @usableFromInline package final private(set) var byteCount = 0
    @exclusivity(unchecked)
    private final var byteCapacity: Int
    @exclusivity(unchecked)
    @usableFromInline package final private(set) var lines: UnsafeMutablePointer<FieldLine>
    /// How many lines the table holds, those taken out included.
    @exclusivity(unchecked)
    @usableFromInline package final private(set) var lineCount = 0
    @exclusivity(unchecked)
    private final var lineCapacity: Int
    @usableFromInline final let first: UnsafeMutablePointer<UInt16>
    package final let known = KnownNames.shared

    package init(byteCapacity: Int = 1024, lineCapacity: Int = 32) {
        bytes = .allocate(capacity: byteCapacity)
        self.byteCapacity = byteCapacity
        lines = .allocate(capacity: lineCapacity)
        self.lineCapacity = lineCapacity
        first = .allocate(capacity: FieldName.count)
        first.initialize(repeating: 0, count: FieldName.count)
    }

    deinit {
        bytes.deallocate()
        lines.deallocate()
        first.deallocate()
    }

    /// Empties the block; its memory stays for the next message.
    package final func removeAll() {
        byteCount = 0
        lineCount = 0
        first.update(repeating: 0, count: FieldName.count)
    }

    /// Gives back the memory that the lines do not need.
    package final func trim() {
        let freshBytes = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, byteCount))
        freshBytes.update(from: bytes, count: byteCount)
        bytes.deallocate()
        (bytes, byteCapacity) = (freshBytes, byteCount)
        let freshLines = UnsafeMutablePointer<FieldLine>.allocate(capacity: max(1, lineCount))
        freshLines.update(from: lines, count: lineCount)
        lines.deallocate()
        (lines, lineCapacity) = (freshLines, lineCount)
    }

    // MARK: Reading

    /// The bytes of a slice of this block.
    @inlinable @inline(__always)
    package final subscript(_ slice: Slice) -> Span<UInt8> {
        @_lifetime(borrow self)
        get {
            precondition(slice.end <= byteCount)
            // Sound: the slice lies within what was written, and the block owns the memory.
            let span = Span(_unsafeStart: bytes + Int(slice.start), count: Int(slice.count))
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// The value of the first line of that well-known name.
    @inlinable @inline(__always)
    package final subscript(_ name: FieldName) -> Span<UInt8>? {
        @_lifetime(borrow self)
        get {
            let position = Int(first[Int(name.rawValue)])
            if position == 0 { return nil }
            let slice = lines[position - 1].value
            let span = Span(_unsafeStart: bytes + Int(slice.start), count: Int(slice.count))
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// Whether there is a line of that well-known name.
    @inlinable @inline(__always)
    package final func contains(_ name: FieldName) -> Bool { first[Int(name.rawValue)] != 0 }

    /// The index of the first line of that well-known name.
    @inlinable @inline(__always)
    package final func index(of name: FieldName) -> Int? {
        let position = Int(first[Int(name.rawValue)])
        return position == 0 ? nil : position - 1
    }

    /// How many lines there are of that well-known name.
    package final func occurrences(of name: FieldName) -> Int {
        guard contains(name) else { return 0 }
        var count = 0
        for index in 0..<lineCount where lines[index].isPresent && lines[index].name == name { count += 1 }
        return count
    }

    /// The line at `index`, which is below `lineCount`.
    @inlinable @inline(__always)
    package final func line(at index: Int) -> FieldLine {
        precondition(index >= 0 && index < lineCount)
        return lines[index]
    }

    /// The name of a line as bytes: as it was received, or in its usual case.
    @_lifetime(borrow self)
    package final func name(of line: FieldLine) -> Span<UInt8> {
        if !line.nameBytes.isEmpty { return self[line.nameBytes] }
        let text = line.name.text
        // Sound: a static string lives for ever.
        let span = Span(_unsafeStart: text.utf8Start, count: text.utf8CodeUnitCount)
        return _overrideLifetime(span, borrowing: self)
    }

    /// The most bytes that `writeLines` writes.
    package final var linesBytesMax: Int { byteCount + lineCount * 48 + 32 }

    /// Writes the lines that are present as `Name: value␍␊` (RFC 9112 §5) to memory with room for `linesBytesMax`.
    ///
    /// - Returns: how many bytes that took.
    package final func writeLines(to room: UnsafeMutablePointer<UInt8>) -> Int {
        // A measured inner loop. Sound: slices lie within what was written, a known name's 40 bytes lie in its table,
        // and the room holds for each line its value, its name, or the 40 bytes, and four more.
        let names = known.names
        var to = room
        for index in 0..<lineCount {
            let line = lines[index]
            guard line.isPresent else { continue }
            if line.name == .other {
                let count = Int(line.nameBytes.count)
                to.update(from: bytes + Int(line.nameBytes.start), count: count)
                to[count] = 58
                to[count + 1] = 32
                to += count + 2
            } else {
                let known = names + Int(line.name.rawValue)
                UnsafeMutableRawPointer(to).copyMemory(from: known.pointee.wire, byteCount: 40)
                to += Int(known.pointee.count) + 2
            }
            let count = Int(line.value.count)
            to.update(from: bytes + Int(line.value.start), count: count)
            to[count] = 13
            to[count + 1] = 10
            to += count + 2
        }
        return to - room
    }

    /// Whether both hold the same octets and the same lines at the same places; lines that were taken out count as none.
    package final func hasSameLines(as other: FieldBlock) -> Bool {
        guard byteCount == other.byteCount else { return false }
        let all = Slice(start: 0, count: byteCount)
        var (left, right) = (0, 0)
        while true {
            while left < lineCount, !lines[left].isPresent { left += 1 }
            while right < other.lineCount, !other.lines[right].isPresent { right += 1 }
            if left == lineCount || right == other.lineCount { break }
            guard lines[left].name == other.lines[right].name, lines[left].value == other.lines[right].value,
                lines[left].nameBytes == other.lines[right].nameBytes
            else { return false }
            left += 1
            right += 1
        }
        return left == lineCount && right == other.lineCount && self[all].equals(other[all])
    }

    // MARK: Writing

    /// Copies `span` into the block's bytes; it may be a part of them.
    package final func store(_ span: Span<UInt8>) -> Slice {
        let count = span.count
        let before = makeRoom(count)
        span.withUnsafeBufferPointer { source in
            if let from = source.baseAddress { (bytes + byteCount).update(from: from, count: count) }
        }
        before?.deallocate()
        byteCount += count
        return Slice(start: byteCount - count, count: count)
    }

    /// Room behind the block's bytes for `count` more, for who writes them in place; `commit` makes them the block's.
    /// It is valid until the next call that writes.
    package final func room(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        makeRoom(count)?.deallocate()
        return bytes + byteCount
    }

    /// Takes the first `count` bytes of what was written to `room`, which was asked for as many at least.
    package final func commit(_ count: Int) -> Slice {
        precondition(count >= 0 && count <= byteCapacity - byteCount)
        byteCount += count
        return Slice(start: byteCount - count, count: count)
    }

    /// Copies the bytes of a head that was parsed where it lay: the slices of the lines added so far are relative
    /// to its start, so nothing may have been stored before.
    package final func adopt(_ span: Span<UInt8>) {
        precondition(byteCount == 0)
        _ = store(span)
    }

    /// Becomes the same as `other`, slices included.
    package final func copyFields(of other: FieldBlock) {
        removeAll()
        adopt(other[Slice(start: 0, count: other.byteCount)])
        for index in 0..<other.lineCount where other.line(at: index).isPresent { add(other.line(at: index)) }
    }

    /// Appends a line whose name and value lie in the block already.
    package final func add(_ line: FieldLine) {
        if lineCount == lineCapacity { growLines() }
        lines[lineCount] = line
        lineCount += 1
        let slot = Int(line.name.rawValue)
        if slot != 0 && first[slot] == 0 { first[slot] = UInt16(truncatingIfNeeded: lineCount) }
    }

    /// Appends a field by its well-known name.
    package final func add(_ name: FieldName, _ value: Span<UInt8>) {
        precondition(name != .other)
        add(FieldLine(name: name, nameBytes: .empty, value: store(value)))
    }

    /// Appends a field by its well-known name.
    package final func add(_ name: FieldName, _ value: StaticString) {
        add(name, Span(_unsafeStart: value.utf8Start, count: value.utf8CodeUnitCount))
    }

    /// Appends a field with a decimal value.
    package final func add(_ name: FieldName, decimal value: Int) {
        precondition(value >= 0)
        makeRoom(20)?.deallocate()
        var digits = 1
        var bound = 10
        while digits < 19 && value >= bound {
            digits += 1
            bound &*= 10
        }
        var rest = value
        for index in stride(from: digits - 1, through: 0, by: -1) {
            bytes[byteCount + index] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        }
        byteCount += digits
        add(
            FieldLine(
                name: name, nameBytes: .empty, value: Slice(start: byteCount - digits, count: digits)))
    }

    /// Appends a field by the bytes of its name; both may be parts of the block's own bytes.
    package final func add(name: Span<UInt8>, value: Span<UInt8>) {
        // Room for both at once, so that neither is freed before it was copied.
        let before = makeRoom(name.count + value.count)
        defer { before?.deallocate() }
        let nameBytes = store(name)
        add(FieldLine(name: FieldName(name), nameBytes: nameBytes, value: store(value)))
    }

    /// Takes out every line of that well-known name.
    package final func remove(_ name: FieldName) {
        guard contains(name) else { return }
        for index in 0..<lineCount where lines[index].name == name { lines[index].isPresent = false }
        first[Int(name.rawValue)] = 0
    }

    /// Takes out the line at `index`, whose name is no well-known one.
    package final func remove(at index: Int) {
        precondition(index >= 0 && index < lineCount && lines[index].name == .other)
        lines[index].isPresent = false
    }

    /// Takes out every line whose name is `name` in whatever case.
    package final func remove(name: Span<UInt8>) {
        let known = FieldName(name)
        if known != .other { return remove(known) }
        for index in 0..<lineCount where lines[index].name == .other {
            if self[lines[index].nameBytes].equalsIgnoringCase(name) { lines[index].isPresent = false }
        }
    }

    /// Replaces every line of that well-known name by one.
    package final func set(_ name: FieldName, _ value: Span<UInt8>) {
        remove(name)
        add(name, value)
    }

    /// Whether there is a line whose name is `name` in whatever case.
    package final func contains(name: Span<UInt8>) -> Bool { index(ofName: name) != nil }

    /// The first line whose name is `name` in whatever case.
    package final func index(ofName name: Span<UInt8>) -> Int? {
        let known = FieldName(name)
        if known != .other {
            let position = Int(first[Int(known.rawValue)])
            return position == 0 ? nil : position - 1
        }
        for index in 0..<lineCount where lines[index].isPresent && lines[index].name == .other {
            if self[lines[index].nameBytes].equalsIgnoringCase(name) { return index }
        }
        return nil
    }

    /// - Returns: the memory that the bytes were in before, for the caller to free once nothing refers to it.
    private final func makeRoom(_ count: Int) -> UnsafeMutablePointer<UInt8>? {
        guard byteCount + count > byteCapacity else { return nil }
        var grown = max(64, byteCapacity * 2)
        while grown < byteCount + count { grown *= 2 }
        let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: grown)
        fresh.update(from: bytes, count: byteCount)
        let before = bytes
        bytes = fresh
        byteCapacity = grown
        return before
    }

    private final func growLines() {
        lineCapacity = max(8, lineCapacity * 2)
        let fresh = UnsafeMutablePointer<FieldLine>.allocate(capacity: lineCapacity)
        fresh.update(from: lines, count: lineCount)
        lines.deallocate()
        lines = fresh
    }
}
