import Chimera
import ChimeraConfiguration
import ChimeraEventLoop
import Glibc
import Logging
import Testing

@testable import ChimeraServer

/// How many an administration answers at a time.
@Suite(.timeLimit(.minutes(1))) struct DataPlaneAdministrationTests {
    private func text(_ connection: Int32) -> String {
        var room = [UInt8](repeating: 0, count: 4096)
        let count = recv(connection, &room, room.count, Int32(MSG_DONTWAIT))
        return String(decoding: room[..<max(0, count)], as: UTF8.self)
    }

    @Test func `so many may wait for a reload, and one more is told so at once`() throws {
        let files = MemoryFileSystem(files: ["chimera.conf": "listen 127.0.0.1:0\nlog access off\n"])
        let loaded = ConfigurationLoader(fileSystem: files).load(machineFile: "chimera.conf")
        let configuration = try #require(loaded.configuration)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let gateway = try Gateways.make(configuration, logger, ListenerGroups())
        // It serves nobody, so no reload comes.
        let reloader = try Reloader(
            LiveConfiguration(machineFile: "chimera.conf", fileSystem: files), logger: logger)
        let administration = DataPlaneAdministration(
            gateway, reloader, generation: 1, machineFile: "chimera.conf")
        var ends: [Int32] = []
        for _ in 0...DataPlaneAdministration.reloadsMax {
            var pair: (Int32, Int32) = (-1, -1)
            let made = withUnsafeMutableBytes(of: &pair) { bytes in
                socketpair(
                    AF_UNIX, Int32(SOCK_STREAM.rawValue), 0,
                    bytes.baseAddress?.assumingMemoryBound(to: Int32.self))
            }
            try #require(made == 0)
            administration.reload(for: pair.1)
            ends.append(pair.0)
        }
        let answers = ends.map(text)
        #expect(answers.dropLast().allSatisfy { $0.isEmpty })
        #expect(answers.last?.contains("too many wait for a reload") == true)
        ends.forEach { close($0) }
    }
}
