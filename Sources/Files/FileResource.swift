internal import ChimeraBytes
internal import ChimeraHTTPCore

/// One file as a worker serves it: the file itself and its precompressed variants, with their field values
/// ready.
final class FileResource {
    let contentType: StaticString
    let identity: FileVariant
    /// In the order of preference; usually empty.
    let encoded: [FileVariant]
    /// What a later look is compared with; empty where it must not be.
    let stamps: [FileStamp]

    /// Takes over the descriptors of `loaded`.
    init(_ loaded: LoadedFile) {
        let variants = loaded.variants.map { FileVariant($0, time: loaded.time, isYoung: loaded.isYoung) }
        contentType = MediaTypes.type(ofPath: loaded.name.span)
        identity = variants[0]
        encoded = Array(variants.dropFirst())
        stamps = loaded.isYoung ? [] : loaded.variants.map(\.stamp)
    }

    /// The variant that the request likes best (RFC 9110 §12.5.3); the file itself where it likes none.
    func variant(for request: RequestHead) -> FileVariant {
        guard !encoded.isEmpty, request.contains(.acceptEncoding) else { return identity }
        var accepted = AcceptEncoding()
        for index in 0..<request.lineCount {
            let line = request.line(at: index)
            if line.isPresent && line.name == .acceptEncoding { accepted.add(request[line.value]) }
        }
        let best = accepted.best { coding in encoded.contains { $0.coding == coding } }
        return encoded.first { $0.coding == best } ?? identity
    }

    var descriptors: Int {
        encoded.reduce(identity.descriptors) { $0 + $1.descriptors }
    }

    var blobBytes: Int {
        encoded.reduce(identity.blobBytes) { $0 + $1.blobBytes }
    }
}

/// One representation (RFC 9110 §8) of a file.
final class FileVariant {
    enum Content {
        case blob(Blob)
        case file(FileHandle)
    }

    let coding: ContentCoding
    let size: Int
    let content: Content
    /// The `ETag` field's value.
    let entityTag: Blob
    /// `Last-Modified` in seconds since 1970, and as the field's value; nil where the file's time says
    /// nothing.
    let lastModified: Int64?
    let lastModifiedText: InlineArray<29, UInt8>

    init(_ loaded: LoadedVariant, time: FileTime, isYoung: Bool) {
        coding = loaded.coding
        size = Int(loaded.stamp.size)
        switch loaded.content {
        case .bytes(let bytes): content = .blob(Blob(bytes.span))
        case .descriptor(let descriptor): content = .file(FileHandle(descriptor: descriptor))
        }
        let suffix: StaticString =
            switch loaded.coding {
            case .identity: ""
            case .br: "-br"
            case .zstd: "-zst"
            case .gzip: "-gz"
            }
        entityTag = Blob(loaded.stamp.entityTag(suffix: suffix, isYoung: isYoung).span)
        lastModified = loaded.stamp.lastModified(at: time)
        lastModifiedText = HTTPDate.format(lastModified ?? 0)
    }

    /// The body of an answer with the whole of it.
    var whole: AnswerBody {
        switch content {
        case .blob(let blob): .bytes(blob)
        case .file(let handle): .file(handle, offset: 0, count: size)
        }
    }

    /// The body of an answer with a part of it.
    func part(_ range: Range<Int>) -> AnswerBody {
        switch content {
        case .blob(let blob): .bytes(Blob(blob.span.extracting(range)))
        case .file(let handle): .file(handle, offset: Int64(range.lowerBound), count: range.count)
        }
    }

    var descriptors: Int {
        if case .file = content { 1 } else { 0 }
    }

    var blobBytes: Int {
        if case .blob(let blob) = content { blob.count } else { 0 }
    }
}
