package import ChimeraHTTPCore

/// How a request for a file is answered; the response's head is filled when there is an answer.
package enum FilesAnswer {
    /// With a body that needs no composing. A status of 400 or more comes with none: whoever has pages for
    /// those adds one.
    case body(AnswerBody)
    /// With several parts of a file.
    case parts(FileParts)
}

/// The path of a request, copied for those who wait.
package struct RequestedFile: Sendable {
    /// The matched path below the directory, beginning with a slash; empty where the request names the
    /// directory without its slash.
    package var path: [UInt8]
    /// The matched path that was taken off before `path`: empty, or beginning with a slash and not ending in
    /// one.
    package var prefix: [UInt8]
    /// The query as the client wrote it, without its `?`; nil where there is none.
    package var query: [UInt8]?

    package init(path: [UInt8], prefix: [UInt8] = [], query: [UInt8]? = nil) {
        self.path = path
        self.prefix = prefix
        self.query = query
    }
}
