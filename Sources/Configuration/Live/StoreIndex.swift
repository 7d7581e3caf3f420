/// What a store's index holds: which file each tenant has, which version of it is kept, and which hosts are its own.
///
/// ```
/// chimera tenants 2
/// tenant ID DIGEST PATH       the digest is - where no version is kept
/// host   LISTENER HOST        of the tenant above; the listener is - for those without a name
/// end    DIGEST               of all that stands before
/// ```
struct StoreIndex: Equatable {
    struct Entry: Equatable {
        /// The tenant's file, absolute.
        var path: String
        /// Of the version that is kept; nil: none is, or what is there is damaged.
        var digest: ContentDigest?
        var claims: [HostOwners.Claim]
    }

    var entries: [String: Entry] = [:]

    private static let heading = "chimera tenants 2"

    init() {}

    // MARK: - As a file

    var serialized: [UInt8] {
        var bytes = Array((Self.heading + "\n").utf8)
        for (id, entry) in entries.sorted(by: { $0.key < $1.key }) {
            let digest = entry.digest?.description ?? "-"
            bytes += "tenant \(Word.escaped(id)) \(digest) \(Word.escaped(entry.path))\n".utf8
            for claim in entry.claims {
                bytes +=
                    "host \(Word.escaped(claim.listenerWord)) \(Word.escaped(claim.host.description))\n".utf8
            }
        }
        return bytes + "end \(ContentDigest(bytes))\n".utf8
    }

    /// What can be read of an index, and whether that is all of what was written.
    static func parse(_ bytes: [UInt8]) -> (index: StoreIndex, isWhole: Bool) {
        var index = StoreIndex()
        var isWhole = false
        var isUnderstood = true
        var id: String?
        for (number, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
            isWhole = false
            if number == 0, line.elementsEqual(heading.utf8) { continue }
            let words = line.split(separator: UInt8(ascii: " ")).map { Word.plain($0) }
            if words.count == 2, words[0] == "end" {
                isWhole =
                    ContentDigest(hexadecimal: words[1]) == ContentDigest(Array(bytes[..<line.startIndex]))
            } else if let entry = entry(words) {
                id = words[1]
                index.entries[words[1]] = entry
            } else if let id, let claim = claim(words) {
                index.entries[id]?.claims.append(claim)
            } else {
                isUnderstood = false
            }
        }
        return (index, isWhole && isUnderstood)
    }

    private static func entry(_ words: [String]) -> Entry? {
        guard words.count == 4, words[0] == "tenant" else { return nil }
        let digest = ContentDigest(hexadecimal: words[2])
        return digest == nil && words[2] != "-" ? nil : Entry(path: words[3], digest: digest, claims: [])
    }

    private static func claim(_ words: [String]) -> HostOwners.Claim? {
        guard words.count == 3, words[0] == "host" else { return nil }
        return HostOwners.Claim(listenerWord: words[1], host: words[2])
    }
}

extension HostOwners.Claim {
    /// `=NAME`, or `-` for the listeners without a name.
    var listenerWord: String { listener.map { "=" + $0 } ?? "-" }

    init(listenerWord: String, host: String) {
        self.init(
            listener: listenerWord == "-" ? nil : String(listenerWord.dropFirst()),
            host: HostPattern(described: host))
    }
}

/// Any text as one word of a line: what would end it is `%` and two digits.
private enum Word {
    static func escaped(_ text: String) -> String {
        guard text.isEmpty || text.utf8.contains(where: needsEscape) else { return text }
        if text.isEmpty { return "%" }
        var result: [UInt8] = []
        for byte in text.utf8 {
            guard needsEscape(byte) else {
                result.append(byte)
                continue
            }
            let digits = String(byte, radix: 16)
            result += (digits.utf8.count == 1 ? "%0" + digits : "%" + digits).utf8
        }
        return String(decoding: result, as: UTF8.self)
    }

    static func plain(_ word: ArraySlice<UInt8>) -> String {
        guard word.contains(UInt8(ascii: "%")) else { return String(decoding: word, as: UTF8.self) }
        var result: [UInt8] = []
        var rest = word
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                result.append(byte)
                continue
            }
            if let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                result.append(value)
                rest = rest.dropFirst(2)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte <= 0x20 || byte == 0x7f || byte == UInt8(ascii: "%")
    }
}

extension HostPattern {
    /// The pattern that `description` gives.
    init(described text: String) {
        if text == "*" {
            self = .any
        } else if text.hasPrefix("**.") {
            self = .deepWildcard(String(text.dropFirst(3)))
        } else if text.hasPrefix("*.") {
            self = .wildcard(String(text.dropFirst(2)))
        } else {
            self = .exact(text)
        }
    }
}
