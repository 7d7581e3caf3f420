internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Field blocks of responses that were sent, for the next response with the same head: most answers of a connection
/// differ in nothing but their content.
///
/// A block is kept only if encoding it changed nothing in the encoder, so that its octets stay right until something
/// does. The heads are compared in full.
struct EncodedHeads {
    /// What a head's block depends on, beside the encoder.
    struct Key: Equatable {
        var status: Int
        var body: BodyLength
        var isHead: Bool
    }

    private struct Entry {
        var key = Key(status: 0, body: .none, isHead: false)
        var changes: UInt64 = 0
        var date = InlineArray<29, UInt8>(repeating: 0)
        var hasContent = false
        var fields: FieldBlock?
        let block = ByteBuffer(capacity: 128)
    }

    private var entries: ContiguousArray<Entry> = []

    /// Blocks that are kept.
    private static let count = 4
    /// Octets of a block that is kept, and of the head that it is for.
    private static let blockBytesMax = 512
    private static let headBytesMax = 2048

    private static func place(_ head: ResponseHead, _ key: Key) -> Int {
        var sum = head.byteCount &+ key.status
        if case .known(let count) = key.body { sum &+= count }
        return sum & (EncodedHeads.count - 1)
    }

    /// Appends the block of the same head, if it was kept and is still right.
    ///
    /// - Returns: whether content follows; nil where the head has to be encoded.
    func append(
        _ head: ResponseHead, _ key: Key, changes: UInt64, date: InlineArray<29, UInt8>, to output: ByteBuffer
    ) -> Bool? {
        if entries.isEmpty { return nil }
        let place = EncodedHeads.place(head, key)
        guard entries[place].changes == changes, entries[place].key == key,
            let fields = entries[place].fields, fields.hasSameLines(as: head),
            entries[place].date.span.equals(date.span)
        else { return nil }
        let block = entries[place].block
        output.append(block.readable)
        return entries[place].hasContent
    }

    /// Keeps a block.
    mutating func keep(
        _ block: Span<UInt8>, of head: ResponseHead, _ key: Key, changes: UInt64,
        date: InlineArray<29, UInt8>, hasContent: Bool
    ) {
        guard block.count <= EncodedHeads.blockBytesMax, head.byteCount <= EncodedHeads.headBytesMax else {
            return
        }
        while entries.count < EncodedHeads.count { entries.append(Entry()) }
        let place = EncodedHeads.place(head, key)
        let fields = entries[place].fields ?? FieldBlock(byteCapacity: 256, lineCapacity: 8)
        fields.copyFields(of: head)
        entries[place].fields = fields
        entries[place].key = key
        entries[place].changes = changes
        entries[place].date = date
        entries[place].hasContent = hasContent
        entries[place].block.clear()
        entries[place].block.append(block)
    }
}
