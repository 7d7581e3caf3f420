import ChimeraBytes
import Testing

@testable import ChimeraFiles

@Suite struct `The table of entries` {
    @Test func `agrees with a dictionary through random insertions and removals`() {
        let seed = UInt64.random(in: 0 ... .max)
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(truncatingIfNeeded: (state >> 33) % UInt64(bound))
        }
        var table = EntryTable()
        var model: [String: FileEntry] = [:]
        for _ in 0..<20_000 {
            let path = "/" + String(repeating: "x", count: random(12)) + "\(random(60))"
            let owner = UInt32(random(2))
            let bytes = Array(path.utf8)
            let hash = table.hash(owner: owner, path: bytes.span)
            let found = table.find(owner: owner, path: bytes.span, hash: hash)
            #expect(found === model["\(owner)\(path)"], "seed \(seed)")
            if let found {
                table.remove(found)
                model["\(owner)\(path)"] = nil
            } else {
                let entry = FileEntry(owner: owner, path: bytes.span, hash: hash)
                table.insert(entry)
                model["\(owner)\(path)"] = entry
            }
            #expect(table.count == model.count, "seed \(seed)")
        }
        #expect(table.entries().count == model.count)
    }

    @Test func `keeps entries apart whose hashes are the same`() {
        var table = EntryTable()
        let entries = (0..<9).map { FileEntry(owner: 0, path: Array("/\($0)".utf8).span, hash: 15) }
        for entry in entries { table.insert(entry) }
        table.remove(entries[3])
        table.remove(entries[0])
        for (index, entry) in entries.enumerated() {
            let found = table.find(owner: 0, path: Array("/\(index)".utf8).span, hash: 15)
            #expect(index == 3 || index == 0 ? found == nil : found === entry)
        }
    }
}
