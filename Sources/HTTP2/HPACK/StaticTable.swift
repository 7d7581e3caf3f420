internal import ChimeraHTTPCore

/// An entry of the static table.
struct StaticEntry: Sendable {
    let name: WireName
    let text: StaticString
    let value: StaticString

    init(_ name: WireName, _ text: StaticString, _ value: StaticString) {
        self.name = name
        self.text = text
        self.value = value
    }
}

/// The static table of HPACK (RFC 7541 §2.3.1): indices 1 to 61.
struct StaticTable: @unchecked Sendable {
    /// The first index of the dynamic table (RFC 7541 §2.3.3).
    static let count = 61

    /// By index less one.
    private let byIndex: UnsafePointer<StaticEntry>
    /// The first index of each name that is in a table; 0 for none.
    private let indexOfName: UnsafePointer<UInt8>

    static let shared = StaticTable()

    private init() {
        let byIndex = UnsafeMutablePointer<StaticEntry>.allocate(capacity: StaticTable.count)
        let indexOfName = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        indexOfName.initialize(repeating: 0, count: 256)
        for (index, entry) in StaticTable.entries.enumerated() {
            (byIndex + index).initialize(to: entry)
            let slot = Int(entry.name.rawValue)
            if slot != 0 && indexOfName[slot] == 0 { indexOfName[slot] = UInt8(index + 1) }
        }
        self.byIndex = UnsafePointer(byIndex)
        self.indexOfName = UnsafePointer(indexOfName)
    }

    /// The entry of an index from 1 to 61.
    subscript(index: Int) -> StaticEntry {
        precondition(index > 0 && index <= StaticTable.count)
        return byIndex[index - 1]
    }

    /// The first index whose entry has that name, or 0.
    func index(of name: WireName) -> Int { Int(indexOfName[Int(name.rawValue)]) }
}
