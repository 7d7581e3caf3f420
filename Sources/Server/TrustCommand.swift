internal import ArgumentParser
internal import CLinux
internal import ChimeraConfiguration
internal import ChimeraTLS
internal import Glibc

/// `chimera trust`: shows the certificate behind `tls internal`, or lets this machine trust it.
struct TrustCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trust",
        abstract: "Print the certificate of the local authority behind `tls internal`.",
        discussion: """
            The certificate goes to standard output in PEM form, so that it can be given to browsers and other machines. \
            With --install this machine trusts it, as update-ca-certificates arranges, which takes root; browsers with \
            certificates of their own need it in theirs. The authority is made when the gateway first serves a site with \
            `tls internal`, and stays the same.
            """)

    @OptionGroup var file: ConfigurationOption
    @Flag(help: "Let this machine trust it.")
    var install = false

    private static let installed = "/usr/local/share/ca-certificates/chimera-local-authority.crt"

    func run() throws {
        let path = try file.path()
        let data =
            ConfigurationLoader().dataDirectory(machineFile: path) ?? DataDirectory.path(machineFile: path)
        let certificate: [UInt8]?
        do throws(LocalAuthority.Failure) {
            certificate =
                try data.map { (data) throws(LocalAuthority.Failure) in
                    try LocalAuthority.keptCertificate(in: data + "/tls")
                } ?? nil
        } catch {
            throw Self.refusal("\(error)")
        }
        guard let certificate else {
            throw Self.refusal(Self.missing(in: data))
        }
        if install {
            try installed(certificate)
        } else {
            Stream.output.write(String(decoding: certificate, as: UTF8.self))
        }
    }

    /// What is said where no authority was found.
    ///
    /// - Parameter data: the data directory; nil where there is none.
    static func missing(in data: String?) -> String {
        guard let data else {
            return
                "the local authority is kept nowhere, so it is another one after each start: name a directory with `data`"
        }
        return
            "there is no local authority yet in \(data)/tls: it is made when a site with `tls internal` is first "
            + "served. If one is served already, the gateway cannot write there, as its log says, and has another "
            + "authority after each start: name a directory of its user's with `data`"
    }

    private func installed(_ certificate: [UInt8]) throws {
        let descriptor = open(Self.installed, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard descriptor >= 0 else {
            throw Self.refusal(Self.installed + ": " + String(cString: strerror(errno)))
        }
        let count = write(descriptor, certificate, certificate.count)
        close(descriptor)
        guard count == certificate.count else {
            throw Self.refusal(Self.installed + " is not whole")
        }
        // What it says is the answer.
        let words: [UnsafeMutablePointer<CChar>?] = [strdup("update-ca-certificates"), nil]
        execv("/usr/sbin/update-ca-certificates", words)
        throw Self.refusal("update-ca-certificates cannot be run: " + String(cString: strerror(errno)))
    }

    private static func refusal(_ text: String) -> ExitCode {
        Stream.error.write(text + "\n")
        return CommandStatus.cannotServe.exitCode
    }
}
