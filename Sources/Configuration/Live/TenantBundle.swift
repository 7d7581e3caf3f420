/// One version of a tenant's file with all that it was decoded from: enough to decode it again when the disk has
/// something else. Values of the environment are no part of it, since secrets do not belong on a disk.
struct TenantBundle: Sendable, Equatable {
    /// As messages show the file.
    var name: String
    /// Absolute.
    var path: String
    var source: [UInt8]
    /// The content of the files that it refers to, by absolute path.
    var contents: [String: [UInt8]] = [:]
    /// What stood at other paths.
    var kinds: [String: FileKind] = [:]
    /// The hosts of its sites, so that their owner is known where nothing else tells.
    var claims: [HostOwners.Claim] = []

    /// Of the tenant.
    var id: String { FilePath.stem(of: name) }

    /// The same for bundles of the same content.
    var digest: ContentDigest {
        var digest = ContentDigest(name)
        digest.take(Array(path.utf8))
        digest.take(source)
        for (path, content) in contents.sorted(by: { $0.key < $1.key }) {
            digest.take(Array(path.utf8))
            digest.take(content)
        }
        for (path, kind) in kinds.sorted(by: { $0.key < $1.key }) {
            digest.take(Array("\(kind) \(path)".utf8))
        }
        for claim in claims {
            digest.take(Array(claim.listenerWord.utf8))
            digest.take(Array(claim.host.description.utf8))
        }
        return digest
    }

    /// Whether it has an answer of its own to what its decoding asks the disk.
    func has(_ reference: Dependency) -> Bool {
        switch reference {
        case .file(let path): contents[path] != nil
        case .kind(let path): kinds[path] != nil
        case .place, .refused, .environment: false
        }
    }

    // MARK: - As a file

    private static let heading = "chimera tenant 1\n"

    /// The bundle as a file's content: lines that say how many bytes follow, and the bytes.
    var serialized: [UInt8] {
        var bytes = Array(Self.heading.utf8)
        func add(_ word: String, _ path: String, _ content: [UInt8]) {
            bytes += "\(word) \(path.utf8.count) \(content.count)\n".utf8
            bytes += path.utf8
            bytes += content
            bytes.append(UInt8(ascii: "\n"))
        }
        add("name", name, [])
        add("source", path, source)
        for (path, content) in contents.sorted(by: { $0.key < $1.key }) { add("file", path, content) }
        for (path, kind) in kinds.sorted(by: { $0.key < $1.key }) {
            add("kind", path, Array(kind.rawValue.utf8))
        }
        for claim in claims { add("host", claim.listenerWord, Array(claim.host.description.utf8)) }
        bytes += "end \(digest)\n".utf8
        return bytes
    }

    /// The bundle of a file's content; nil where that is damaged.
    init?(serialized bytes: [UInt8]) {
        self.init(name: "", path: "", source: [])
        var reader = Reader(bytes: bytes)
        guard reader.line() == Self.heading.dropLast() else { return nil }
        while let line = reader.line() {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == "end" {
                guard ContentDigest(hexadecimal: words[1]) == digest else { return nil }
                return
            }
            guard words.count == 3, let pathCount = Int(words[1]), let count = Int(words[2]),
                let path = reader.take(pathCount), let content = reader.take(count),
                reader.take(1) == [UInt8(ascii: "\n")]
            else { return nil }
            let text = String(decoding: path, as: UTF8.self)
            switch words[0] {
            case "name": name = text
            case "source": (self.path, source) = (text, content)
            case "file": contents[text] = content
            case "host":
                let host = String(decoding: content, as: UTF8.self)
                claims.append(HostOwners.Claim(listenerWord: text, host: host))
            case "kind": kinds[text] = FileKind(rawValue: String(decoding: content, as: UTF8.self))
            default: return nil
            }
        }
        return nil
    }

    init(name: String, path: String, source: [UInt8]) {
        self.name = name
        self.path = path
        self.source = source
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        mutating func line() -> Substring? {
            guard index < bytes.count, let end = bytes[index...].firstIndex(of: UInt8(ascii: "\n")) else {
                return nil
            }
            defer { index = end + 1 }
            return Substring(decoding: bytes[index..<end], as: UTF8.self)
        }

        mutating func take(_ count: Int) -> [UInt8]? {
            guard count >= 0, count <= bytes.count - index else { return nil }
            defer { index += count }
            return Array(bytes[index..<(index + count)])
        }
    }
}

/// The disk as a bundle remembers it, with the disk as it is behind that.
struct BundleFileSystem: ConfigurationFileSystem {
    let bundle: TenantBundle
    let disk: any ConfigurationFileSystem

    var currentDirectory: String { disk.currentDirectory }

    func read(_ path: String, atMost limit: Int, within roots: [OwnedPlace]?) throws(FileFailure) -> [UInt8] {
        guard let content = bundle.contents[path] else {
            return try disk.read(path, atMost: limit, within: roots)
        }
        // What was permitted once is not for ever.
        if let roots, !roots.contains(where: { $0.top(holding: disk.realPath(of: path) ?? path) != nil }) {
            throw .outside
        }
        return content
    }

    func isExecutable(_ path: String) -> Bool {
        disk.isExecutable(path) || (disk.kind(of: path) == nil && bundle.kinds[path] == .file)
    }

    func kind(of path: String) -> FileKind? { disk.kind(of: path) ?? bundle.kinds[path] }

    func paths(matching pattern: String) throws(FileFailure) -> [String] { try disk.paths(matching: pattern) }

    func realPath(of path: String) -> String? { disk.realPath(of: path) }

    func stamp(of path: String) -> DiskStamp? { disk.stamp(of: path) }
}
