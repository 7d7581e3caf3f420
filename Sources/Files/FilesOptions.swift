/// What one `files` directive says.
package struct FilesOptions: Sendable, Equatable {
    /// The directory that is served, as an absolute path. It may be a symbolic link, looked at anew each
    /// time, so that a release is switched by changing the link.
    package var directory: String
    /// A directory above `directory` which that must not lead out of, by symbolic links either; nil for no
    /// bound.
    package var confinedTo: String?
    /// Whether `confinedTo` has to be free of links itself, so that nobody can put one in its place.
    package var confinementIsReal: Bool
    /// File names that are tried in a directory, in this order.
    package var index: [String]
    /// Served with 200 where nothing is found, as a path below the directory that begins with `/`.
    package var fallback: String?
    /// Whether segments that begin with a dot are served.
    package var servesHidden: Bool
    /// Extensions without their dot that are never served, whatever the case: `php`, `phar`.
    package var sourceExtensions: [String]

    package init(
        directory: String, confinedTo: String? = nil, confinementIsReal: Bool = false,
        index: [String] = ["index.html"],
        fallback: String? = nil,
        servesHidden: Bool = false, sourceExtensions: [String] = []
    ) {
        self.directory = directory
        self.confinedTo = confinedTo
        self.confinementIsReal = confinementIsReal
        self.index = index
        self.fallback = fallback
        self.servesHidden = servesHidden
        self.sourceExtensions = sourceExtensions
    }
}
