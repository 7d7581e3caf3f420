internal import ChimeraTLS

/// Certificates and what goes with them.
extension FileDecoder {
    /// One `tls` line of a site.
    func tls(_ arguments: Arguments, _ site: inout Site) {
        var tls = site.tls ?? SiteTLS(position: current.position(arguments.keyword))
        if let first = arguments.first("CHAIN") { addCertificate(first, arguments, &tls) }
        if let redirects = arguments.isOn("redirect") { tls.redirects = redirects }
        decode(expanded(arguments.statement.block ?? []), in: .tls) { row, inner in
            if case .tls(let effect) = row.effect { effect(inner, self, &tls) }
        }
        if tls.clients != nil, tls.clientAuthorities == nil {
            report(arguments.keyword, "`client` needs a `client-ca` that says whose certificates count")
        }
        if !tls.redirects, tls.clientAuthorities != nil, tls.clients == .require {
            warn(
                arguments.keyword,
                "with `redirect=off` and `client require`, without TLS all requests get 403")
        }
        site.tls = tls
    }

    private func addCertificate(_ first: Arguments.Item, _ arguments: Arguments, _ tls: inout SiteTLS) {
        if first.token.text == "internal", first.token.quoting == .bare {
            if let extra = arguments.first("KEY") ?? arguments.first("ocsp") {
                report(extra.token, "`tls internal` has no files")
            }
            if !tls.certificates.isEmpty {
                report(first.token, "`tls internal` and a certificate's files cannot stand in one site")
            }
            if tls.isInternal {
                report(first.token, "`tls internal` stands in this site already", other: tls.position)
            }
            tls.isInternal = true
            return
        }
        guard let second = arguments.first("KEY") else {
            reportLoneWord(first.token)
            return
        }
        if tls.isInternal {
            report(first.token, "`tls internal` and a certificate's files cannot stand in one site")
        }
        let third = arguments.first("ocsp").map { Arguments.Item(token: $0.token.value, value: $0.value) }
        guard let chain = certificateFile(first), let key = certificateFile(second) else { return }
        let status = third.flatMap { certificateFile($0) }
        if third != nil, status == nil { return }
        do throws(CertificateFault) {
            let certificate = try ServerCertificate(
                chain: chain.content, key: key.content, status: status?.content)
            try certificate.tryOut()
            warn(of: certificate, first, status: third)
        } catch {
            let wrong =
                switch error.file {
                case .chain: first
                case .key: second
                case .status: third ?? first
                }
            report(wrong.token, "\"\(wrong.token.text)\" \(error.reason)")
            return
        }
        tls.certificates.append(
            SiteTLS.Certificate(
                chain: chain, key: key, status: status, position: current.position(arguments.keyword)))
    }

    private func reportLoneWord(_ token: Token) {
        if token.text == "auto", token.quoting == .bare {
            report(token, "this version does not have `tls auto` yet")
        } else {
            report(
                token, "`tls` needs CHAIN and KEY, or the word `internal`",
                NearMiss.suggestions(for: token.text, among: ["internal"]))
        }
    }

    /// Its content is not kept with last good versions: keys belong in one place, and an old chain fits no new key.
    private func certificateFile(_ item: Arguments.Item) -> ReferencedFile? {
        guard case .text(let path) = item.value else { return nil }
        return referenced(path, item.token, isKept: false)
    }

    /// What serves all the same, and clients may refuse.
    private func warn(of certificate: ServerCertificate, _ item: Arguments.Item, status: Arguments.Item?) {
        let file = "\"\(item.token.text)\""
        for doubt in certificate.doubts { warn(item.token, doubt.text(file)) }
        if let status, let doubt = certificate.status?.doubt {
            warn(status.token, "the OCSP response in \"\(status.token.text)\" \(doubt)")
        }
    }

    func clientAuthorities(_ arguments: Arguments, _ tls: inout SiteTLS) {
        guard let item = arguments.first("FILE"), let file = arguments.file("FILE") else { return }
        do throws(CertificateFault) {
            _ = try ClientTrust(authorities: file.content, isRequired: true)
        } catch {
            report(item.token, "\"\(item.token.text)\" \(error.reason)")
            return
        }
        tls.clientAuthorities = file
        tls.clients = tls.clients ?? .require
    }

    /// What can only be said once a site is known as a whole.
    func checkTLS(of site: Site) {
        guard let tls = site.tls, tls.isInternal || !tls.certificates.isEmpty else { return }
        let listeners = (machine ?? self).secureListeners
        let isReached =
            site.on.isEmpty ? listeners.contains(nil) : site.on.contains { listeners.contains($0) }
        if !isReached {
            report(
                .error, at: tls.position, "no listener with `tls` leads to this site", [],
                length: 3, line: line(at: tls.position))
        }
        checkHosts(of: site, tls)
    }

    /// Warns of hosts that no certificate is for, and of certificates that are for no host.
    private func checkHosts(of site: Site, _ tls: SiteTLS) {
        let certificates = tls.certificates.compactMap { source in
            (try? ServerCertificate(chain: source.chain.content, key: source.key.content)).map {
                (source, $0)
            }
        }
        guard !certificates.isEmpty else { return }
        let names = site.hosts.map(\.certificateName)
        for (host, name) in zip(site.hosts, names) {
            guard let name, !certificates.contains(where: { $1.covers(name) }) else { continue }
            report(
                .warning, at: tls.position, "no certificate of this site is one for \"\(host)\"", [],
                length: 3, line: line(at: tls.position))
        }
        // Of a single certificate that is said already.
        guard certificates.count > 1, !names.contains(nil) else { return }
        for (source, certificate) in certificates
        where !names.contains(where: { $0.map(certificate.covers) ?? false }) {
            report(
                .warning, at: source.position, "the certificate of this line is one for no host of the site",
                [],
                length: 3, line: line(at: source.position))
        }
    }
}

extension ServerCertificate.Doubt {
    /// - Parameter file: the chain's, as it was written.
    fileprivate func text(_ file: String) -> String {
        switch self {
        case .expired(1): "the certificate in \(file) has expired"
        case .expired(let number): "certificate \(number) in \(file) has expired"
        case .early(1): "the certificate in \(file) is not valid yet"
        case .early(let number): "certificate \(number) in \(file) is not valid yet"
        case .outOfOrder(let number):
            "certificate \(number) in \(file) did not sign the one before it: each signs the one above"
        case .alone:
            "\(file) holds no certificate of who signed this one; clients may not have it (`fullchain.pem` of most tools does)"
        case .notForServers:
            "the certificate in \(file) is not one for servers: its extended key usage lacks serverAuth"
        }
    }
}

extension HostPattern {
    /// What a certificate would have to name; nil where no one name says it.
    fileprivate var certificateName: String? {
        switch self {
        case .exact(let name): name
        case .wildcard(let name): "*." + name
        case .deepWildcard, .any: nil
        }
    }
}
