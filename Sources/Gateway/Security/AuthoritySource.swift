internal import ChimeraConfiguration
internal import ChimeraTLS
internal import Glibc
internal import Logging
internal import Synchronization

/// Where workers have the local authority from: it is read or made before the first configuration with `tls internal`
/// serves, on a thread that may block.
final class AuthoritySource: Sendable {
    /// Nil: it is kept nowhere, and is another one after a restart.
    private let directory: String?
    private let logger: Logger
    private let held = Mutex<LocalAuthority?>(nil)

    /// - Parameter directory: the data directory.
    init(directory: String?, _ logger: Logger) {
        self.directory = directory.map { $0 + "/tls" }
        self.logger = logger
    }

    var current: LocalAuthority? { held.withLock { $0 } }

    /// Makes sure that there is one where a configuration needs it.
    func prepare(for configuration: MachineConfiguration) {
        guard current == nil, configuration.sites.contains(where: { $0.site.tls?.isInternal ?? false }) else {
            return
        }
        let made = make()
        held.withLock { $0 = made }
    }

    private func make() -> LocalAuthority? {
        let name = Self.hostName
        if let directory {
            do throws(LocalAuthority.Failure) {
                return try LocalAuthority.keptOrMade(in: directory, name: name)
            } catch {
                logger.warning("the local authority of `tls internal` is not kept: \(error)")
            }
        }
        do throws(LocalAuthority.Failure) {
            return try LocalAuthority(name: name)
        } catch {
            logger.error("there is no local authority for `tls internal`: \(error)")
            return nil
        }
    }

    private static var hostName: String {
        var room = [CChar](repeating: 0, count: 65)
        guard gethostname(&room, room.count - 1) == 0 else { return "localhost" }
        return String(decoding: room.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
