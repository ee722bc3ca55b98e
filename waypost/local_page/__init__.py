"""What the pages on this machine share: the guard against other sites, the stylesheet, the frame of a mail.

They are the pages of the development mailbox and of the preview.
"""
