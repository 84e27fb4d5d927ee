# Net::POP3 takes every message and writes it, octet for octet, to a numbered file.
# perl net_pop3.pl HOST PORT none|starttls|implicit AUTHORITY USER PASSWORD FOLDER DELETE APOP
use strict;
use warnings;
use Net::POP3;

my ($host, $port, $tls, $authority, $user, $password, $folder, $delete, $apop) = @ARGV;
my %secure = (SSL_ca_file => $authority, SSL_verifycn_name => $host);
my $pop = Net::POP3->new($host, Port => $port, Timeout => 60, SSL => $tls eq 'implicit' ? 1 : 0, %secure)
    or die "no greeting: $@\n";
if ($tls eq 'starttls') {
    $pop->starttls(%secure) or die 'STLS: ' . $pop->message;
}
my $count = $apop ? $pop->apop($user, $password) : $pop->login($user, $password);
defined $count or die 'login: ' . $pop->message;
my $sizes = $pop->list;
for my $number (sort { $a <=> $b } keys %$sizes) {
    my $lines = $pop->get($number) or die "message $number: " . $pop->message;
    open my $file, '>:raw', "$folder/$number" or die $!;
    print {$file} @$lines;
    close $file;
    $pop->delete($number) if $delete;
}
$pop->quit or die 'quit: ' . $pop->message;
