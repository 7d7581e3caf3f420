import Glibc
import Synchronization
import Testing

@testable import ChimeraConfiguration

/// Files in memory that a test changes while a configuration lives on them.
final class ChangingDisk: ConfigurationFileSystem {
    private let files: Mutex<MemoryFileSystem>
    private let seen = Mutex<[String]>([])

    /// The paths that were read.
    var reads: [String] {
        get { seen.withLock { $0 } }
        set { seen.withLock { $0 = newValue } }
    }

    init(_ files: [String: String], links: [String: String] = [:]) {
        var system = MemoryFileSystem(files: files)
        system.links = links
        self.files = Mutex(system)
    }

    subscript(path: String) -> String? {
        get { nil }
        set {
            files.withLock { files in
                if let newValue { files.add(path, Array(newValue.utf8)) } else { files.remove(path) }
            }
        }
    }

    func change(_ body: @Sendable (inout MemoryFileSystem) -> Void) { files.withLock { body(&$0) } }

    var currentDirectory: String { "/etc/chimera" }

    func read(_ path: String, atMost limit: Int, within roots: [OwnedPlace]?) throws(FileFailure) -> [UInt8] {
        seen.withLock { $0.append(path) }
        let system = files.withLock { $0 }
        return try system.read(path, atMost: limit, within: roots)
    }

    func kind(of path: String) -> FileKind? { files.withLock { $0.kind(of: path) } }

    func paths(matching pattern: String) throws(FileFailure) -> [String] {
        let system = files.withLock { $0 }
        return try system.paths(matching: pattern)
    }

    func realPath(of path: String) -> String? { files.withLock { $0.realPath(of: path) } }

    private let stamps = Mutex<[String: DiskStamp]>([:])

    func stamp(of path: String) -> DiskStamp? { stamps.withLock { $0[path] } }

    /// What is said of a file from now on.
    func set(_ stamp: DiskStamp?, of path: String) { stamps.withLock { $0[path] = stamp } }
}

/// A directory of the disk that goes with the test.
final class ScratchDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/chimera-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LastGoodStore.Failure(path: "/tmp", number: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != "." && name != ".." { remove(path + "/" + name) }
            }
            closedir(directory)
        }
        Glibc.remove(path)
    }
}

/// One machine over several starts and reloads.
struct LiveMachine {
    let disk: ChangingDisk
    let scratch: ScratchDirectory
    private(set) var live: LiveConfiguration

    static let machine = "listen 8080\nimport conf.d/*.conf\n"

    init(_ tenants: [String: String], machine: String = LiveMachine.machine, files: [String: String] = [:])
        throws
    {
        var all = files
        all["chimera.conf"] = machine
        for (id, text) in tenants { all["conf.d/\(id).conf"] = text }
        disk = ChangingDisk(all)
        scratch = try ScratchDirectory()
        live = Self.start(disk, scratch)
    }

    private static func start(_ disk: ChangingDisk, _ scratch: ScratchDirectory) -> LiveConfiguration {
        LiveConfiguration(
            machineFile: "chimera.conf", fileSystem: disk, environment: { _ in nil },
            storeDirectory: scratch.path + "/data", clock: { 1_000 })
    }

    /// Where last good versions are.
    var store: String { scratch.path + "/data/tenants" }

    /// Another process reads the same disk.
    mutating func restart() { live = Self.start(disk, scratch) }

    /// Reads, and keeps what was good.
    @discardableResult
    func load(_ cause: ReloadStatus.Cause = .signal) throws -> LiveConfiguration.Revision {
        let revision = live.load(cause)
        live.commit()
        #expect(!live.persist().isUnfinished)
        return revision
    }
}

extension LiveConfiguration.Revision {
    /// What each tenant's first site answers, by tenant: the text of its first route's `respond`.
    var answers: [String: String] {
        var answers: [String: String] = [:]
        for shared in configuration?.sites ?? [] {
            guard case .respond(_, .text(let text))? = shared.site.routes.first?.destination else { continue }
            answers[shared.site.tenant] = text.literal
        }
        return answers
    }

    var errors: [String] {
        diagnostics.filter { $0.severity == .error }.map { "\($0.position): \($0.text)" }
    }

    func service(_ id: String) -> TenantStatus.Service? { status.tenants.first { $0.id == id }?.service }
}

func answering(_ text: String, host: String = "a.example") -> String {
    "site \(host) {\n    respond 200 \(text)\n}\n"
}
