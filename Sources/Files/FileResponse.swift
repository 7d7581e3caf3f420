internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Fills the head of a response with a file, in the order of RFC 9110 §13.2.2: variant, conditions, ranges.
struct FileResponse {
    private let resource: FileResource
    private let request: RequestHead
    private let response: ResponseHead
    private let variant: FileVariant
    private let wallSeconds: Int64

    init(_ resource: FileResource, _ request: RequestHead, _ response: ResponseHead, wallSeconds: Int64) {
        self.resource = resource
        self.request = request
        self.response = response
        self.wallSeconds = wallSeconds
        variant = resource.variant(for: request)
    }

    func fill() -> FilesAnswer {
        guard isConditional else { return answerRanges() ?? answerWhole() }
        let tag = variant.entityTag
        var conditions = Preconditions(
            Validators(entityTag: tag.span, lastModified: variant.lastModified, now: wallSeconds))
        for index in 0..<request.lineCount {
            let line = request.line(at: index)
            guard line.isPresent, let field = Preconditions.Field(line.name) else { continue }
            conditions.add(field, request[line.value])
        }
        switch conditions.outcome(isRetrieval: true) {
        case .preconditionFailed: return answer(412)
        case .notModified: return answerNotModified()
        case .proceed: return (conditions.allowsRange ? answerRanges() : nil) ?? answerWhole()
        }
    }

    private var isConditional: Bool {
        request.contains(.ifNoneMatch) || request.contains(.ifModifiedSince) || request.contains(.ifRange)
            || request.contains(.ifMatch) || request.contains(.ifUnmodifiedSince)
    }

    private func answerWhole() -> FilesAnswer {
        response.status = 200
        addRepresentationFields(contentType: resource.contentType)
        response.body = .known(variant.size)
        return .body(request.method == .head ? .none : variant.whole)
    }

    /// RFC 9110 §15.4.5: what would be needed to update a stored response, and no more.
    private func answerNotModified() -> FilesAnswer {
        addEntityTag()
        addVary()
        return answer(304)
    }

    private func answer(_ status: Int) -> FilesAnswer {
        response.status = status
        return .body(.none)
    }

    // MARK: Ranges

    /// - Returns: nil where the whole is to be sent.
    private func answerRanges() -> FilesAnswer? {
        // RFC 9110 §14.2: Range means nothing but with GET, and it is one line.
        guard request.method == .get, request.contains(.range), request.occurrences(of: .range) == 1,
            let value = request[.range]
        else { return nil }
        switch ByteRanges(value, length: UInt64(variant.size)) {
        case .ignored: return nil
        case .unsatisfiable:
            addContentRange(nil)
            return answer(416)
        case .single(let range):
            return answerPart(Int(range.lowerBound)..<Int(range.upperBound))
        case .several(let ranges):
            return answerParts(ranges.map { Int($0.lowerBound)..<Int($0.upperBound) })
        }
    }

    private func answerPart(_ range: Range<Int>) -> FilesAnswer {
        response.status = 206
        addRepresentationFields(contentType: resource.contentType)
        addContentRange(range)
        response.body = .known(range.count)
        return .body(variant.part(range))
    }

    private func answerParts(_ ranges: [Range<Int>]) -> FilesAnswer {
        let parts = FileParts(variant, ranges, contentType: resource.contentType)
        response.status = 206
        addValidators()
        let contentType = parts.contentType
        response.add(.contentType, contentType.span)
        response.body = .known(parts.count)
        return .parts(parts)
    }

    // MARK: Fields

    private func addRepresentationFields(contentType: StaticString) {
        response.add(.contentType, contentType)
        addValidators()
        response.add(.acceptRanges, "bytes")
    }

    private func addValidators() {
        if variant.lastModified != nil {
            let text = variant.lastModifiedText
            response.add(.lastModified, text.span)
        }
        addEntityTag()
        if variant.coding != .identity { response.add(.contentEncoding, variant.coding.token) }
        addVary()
    }

    private func addEntityTag() {
        let tag = variant.entityTag
        response.add(.etag, tag.span)
    }

    /// RFC 9110 §12.5.5: said of the file itself too, where there are variants.
    private func addVary() {
        if !resource.encoded.isEmpty { response.add(.vary, "Accept-Encoding") }
    }

    private func addContentRange(_ range: Range<Int>?) {
        response.add(.contentRange, ContentRange.value(range, of: variant.size).span)
    }
}

/// The value of `Content-Range` (RFC 9110 §14.4).
enum ContentRange {
    static func value(_ range: Range<Int>?, of size: Int) -> [UInt8] {
        [UInt8](capacity: 70) { output in
            output.append(
                contentRange: range.map { UInt64($0.lowerBound)..<UInt64($0.upperBound) }, of: UInt64(size))
        }
    }
}

extension Preconditions.Field {
    fileprivate init?(_ name: FieldName) {
        switch name {
        case .ifMatch: self = .ifMatch
        case .ifNoneMatch: self = .ifNoneMatch
        case .ifModifiedSince: self = .ifModifiedSince
        case .ifUnmodifiedSince: self = .ifUnmodifiedSince
        case .ifRange: self = .ifRange
        default: return nil
        }
    }
}
