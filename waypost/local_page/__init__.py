"""What the pages on this machine share: their frame, the guard against other sites, the frame of a mail.

They are the pages of the development mailbox and of the preview.
"""
