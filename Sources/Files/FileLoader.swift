internal import ChimeraHTTPCore
internal import Glibc

/// A look at what is behind a path: all that a thread of the pool needs to take it.
struct LoadRequest: Sendable {
    var directory: String
    var confinedTo: String?
    var confinementIsReal = false
    /// Below the directory, beginning with a slash.
    var path: [UInt8]
    /// Names tried in a directory.
    var index: [[UInt8]]
    var blobBytesMax: Int
    /// What was found last time; where it is all the same, nothing is read.
    var known: [FileStamp]
}

/// What a look found.
enum LoadOutcome: Sendable {
    /// What is known is all the same.
    case unchanged
    case file(LoadedFile)
    /// A directory, asked for without its slash.
    case directory
    /// Nothing that could be served; the status to say so with.
    case failed(status: Int)
}

/// A file and its variants, as they were read.
struct LoadedFile: Sendable {
    /// The name that tells the media type.
    var name: [UInt8]
    /// The file itself comes first.
    var variants: [LoadedVariant]
    /// When it was looked at.
    var time: FileTime
    /// Whether one of the variants was written just then, or while it was read, so that the stamps prove
    /// nothing.
    var isYoung: Bool
}

struct LoadedVariant: Sendable {
    enum Content: Sendable {
        case bytes([UInt8])
        /// Whoever gets it has to close it.
        case descriptor(Int32)
    }

    var coding: ContentCoding
    var stamp: FileStamp
    var content: Content
}

/// Opens, looks at and reads files. Everything here may block, so it runs on threads of the pool.
struct FileLoader {
    private let request: LoadRequest
    private let root: RootDirectory

    /// Does what `request` asks for.
    static func load(_ request: LoadRequest) -> LoadOutcome {
        do throws(ErrorNumber) {
            let root = try RootDirectory(
                request.directory, confinedTo: request.confinedTo,
                confinementIsReal: request.confinementIsReal)
            return try FileLoader(request: request, root: root).load()
        } catch {
            return .failed(status: status(for: error.value))
        }
    }

    private static func status(for number: Int32) -> Int {
        switch number {
        case ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP, EXDEV, ENXIO, ENODEV, EINVAL: 404
        case EACCES, EPERM: 403
        case EMFILE, ENFILE, ENOMEM, EAGAIN: 503
        default: 500
        }
    }

    private func load() throws(ErrorNumber) -> LoadOutcome {
        let name = Array(request.path.drop { $0 == UInt8(ascii: "/") })
        if name.isEmpty || name.last == UInt8(ascii: "/") { return try loadIndex(in: name) }
        let file = try root.open(name)
        if file.isDirectory { return .directory }
        guard file.isRegular else { throw ErrorNumber(value: ENOENT) }
        return load(file, name)
    }

    /// - Parameter directory: empty, or with its slash.
    private func loadIndex(in directory: [UInt8]) throws(ErrorNumber) -> LoadOutcome {
        for index in request.index {
            let name = directory + index
            do throws(ErrorNumber) {
                let file = try root.open(name)
                if file.isRegular { return load(file, name) }
            } catch {
                guard FileLoader.status(for: error.value) == 404 else { throw error }
            }
        }
        return .failed(status: 404)
    }

    private func load(_ file: OpenedFile, _ name: [UInt8]) -> LoadOutcome {
        let siblings = openSiblings(of: file, name)
        let stamps = [file.stamp] + siblings.map(\.file.stamp)
        if stamps == request.known { return .unchanged }
        var loaded = LoadedFile(name: name, variants: [], time: .now(), isYoung: false)
        take(file, .identity, into: &loaded)
        for sibling in siblings { take(sibling.file, sibling.coding, into: &loaded) }
        if loaded.variants.contains(where: { $0.stamp.isYoung(at: loaded.time) }) { loaded.isYoung = true }
        return .file(loaded)
    }

    private struct Sibling {
        var coding: ContentCoding
        var file: OpenedFile
    }

    private func openSiblings(of file: OpenedFile, _ name: [UInt8]) -> [Sibling] {
        let endings: [(ContentCoding, String)] = [(.br, ".br"), (.zstd, ".zst"), (.gzip, ".gz")]
        return endings.compactMap { coding, ending in
            guard let sibling = try? root.open(name + Array(ending.utf8)), sibling.isRegular,
                sibling.stamp.isCurrent(for: file.stamp)
            else { return nil }
            return Sibling(coding: coding, file: sibling)
        }
    }

    private func take(_ file: OpenedFile, _ coding: ContentCoding, into loaded: inout LoadedFile) {
        if let (bytes, stamp) = readWhole(file) {
            loaded.variants.append(LoadedVariant(coding: coding, stamp: stamp, content: .bytes(bytes)))
            return
        }
        // A small file that never held still while it was read is sent as it lies, under a weak tag.
        if file.stamp.size <= Int64(request.blobBytesMax) { loaded.isYoung = true }
        posix_fadvise(file.descriptor, 0, off_t(FileWindow.bytes), POSIX_FADV_WILLNEED)
        loaded.variants.append(
            LoadedVariant(coding: coding, stamp: file.stamp, content: .descriptor(file.take())))
    }

    /// Reads a small file such that its bytes and its stamp belong together.
    private func readWhole(_ file: OpenedFile) -> ([UInt8], FileStamp)? {
        for _ in 0..<FileLoader.readsMax where file.stamp.size <= Int64(request.blobBytesMax) {
            let bytes = file.read()
            if file.isUnchanged(), let bytes { return (bytes, file.stamp) }
        }
        return nil
    }

    private static let readsMax = 3
}
